// Recovery of dead sessions. What stays behind for a while, orphans and large blocks, is in
// orphans_test.cpp.

#include <algorithm>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/core/region_core.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"
#include "tests/unit/daemon/core/recovery_fixture.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::kGranuleBytes;
using region::SessionState;
using region::SpanState;
using test::CoreRegion;
using test::kPlenty;
using test::owned_word;
using test::refused;

constexpr std::uint32_t kOfferedFlags = OwnWord::kExposed | OwnWord::kOffered;

TEST_F(Recovery, FreesEveryWordOfTheDeadAndChangesTheGenerationOfExposedOnes) {
  const std::uint64_t theirs = carved_span(alive);
  set_word(theirs, 0, owned_word(dead, 100));
  set_word(theirs, 1, owned_word(dead, 100, OwnWord::kExposed));
  set_word(theirs, 2, owned_word(dead, OwnWord::kGenerationMask, kOfferedFlags));
  set_word(theirs, 3, owned_word(alive, 100, kOfferedFlags));
  set_word(theirs, 4, owned_word(alive, 100, kOfferedFlags));
  ASSERT_TRUE(region->publish(alive, "kept", region.handle(theirs, 4), 1));
  set_word(theirs, 5, OwnWord::make(OwnWord::kFreed, 100));
  set_word(theirs, 255, owned_word(dead, 100));
  const auto ended = region.recover(dead);
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].session, dead);
  EXPECT_EQ(word(theirs, 0), OwnWord::make(OwnWord::kFreed, 100));
  EXPECT_EQ(word(theirs, 1), OwnWord::make(OwnWord::kFreed, 101));
  EXPECT_EQ(word(theirs, 2), OwnWord::make(OwnWord::kFreed, 0)) << "the generation goes round";
  EXPECT_EQ(word(theirs, 3), owned_word(alive, 100, kOfferedFlags));
  EXPECT_EQ(word(theirs, 4), OwnWord::make(OwnWord::kKept, 100) | OwnWord::kExposed);
  EXPECT_EQ(word(theirs, 5), OwnWord::make(OwnWord::kFreed, 100));
  EXPECT_EQ(word(theirs, 6), OwnWord::make(OwnWord::kFree, 100));
  EXPECT_EQ(word(theirs, 255), OwnWord::make(OwnWord::kFreed, 100));
  EXPECT_NE(hint(theirs), 0U) << "the span's heap must come to collect";
  EXPECT_EQ(region->totals().recovered_blocks, 4U);
  EXPECT_EQ(region->totals().recoveries, 1U);
}

// A member can write anything into its words; what it leaves behind there must go with it.
TEST_F(Recovery, FreesWordsThatNameNobody) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(region::kSessionLimit - 1, 100, OwnWord::kExposed));
  set_word(first, 1, OwnWord::make(OwnWord::kKept, 100) | OwnWord::kExposed);
  set_word(first, 2, OwnWord::make(15, 100));  // an owner that nothing uses
  region.recover(dead);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->uid_granted_bytes(1000), 0U);
}

TEST_F(Recovery, SetsTheHintThatTheDeadDidNotComeToSet) {
  const std::uint64_t theirs = carved_span(alive);
  set_word(theirs, 0, owned_word(alive, 100));
  set_word(theirs, 1, OwnWord::make(OwnWord::kFreed, 7));  // then it was killed
  region.recover(dead);
  EXPECT_NE(hint(theirs), 0U);
}

TEST_F(Recovery, SetsNoHintWhereItFreedNothing) {
  const std::uint64_t theirs = carved_span(alive);
  set_word(theirs, 0, owned_word(alive, 100));
  region.recover(dead);
  EXPECT_EQ(hint(theirs), 0U);
}

TEST_F(Recovery, ReturnsSpansThatHoldNothingOfOthers) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(dead, 100, kOfferedFlags));
  (void)region.granted(dead, 3);  // never carved
  region.recover(dead);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region->extents().free_granules(), 64U);
  EXPECT_EQ(region->extents().extent_count(), 1U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->uid_granted_bytes(1000), 0U);
  EXPECT_EQ(region->session(dead), nullptr);
  EXPECT_EQ(state(dead), SessionState::kAbsent);
  EXPECT_TRUE(region->punch_wanted());
}

TEST_F(Recovery, MakesOrphansOfSpansThatOthersStillUse) {
  const std::uint64_t first = carved_span(dead, 8192);
  set_word(first, 9, owned_word(alive, 100, OwnWord::kExposed));
  set_word(first, 1, owned_word(dead, 100));
  region.recover(dead);
  EXPECT_EQ(region.descriptor(first), (region::SpanDescriptor{SpanState::kOrphan, 0, 4, 4}));
  EXPECT_EQ(region.descriptor(first + 1).state, SpanState::kInterior);
  EXPECT_EQ(word(first, 1), OwnWord::make(OwnWord::kFreed, 100));
  EXPECT_EQ(word(first, 9), owned_word(alive, 100, OwnWord::kExposed));
  EXPECT_EQ(region->orphan_count(), 1U);
  EXPECT_TRUE(region->sweep_wanted());
  EXPECT_EQ(region->totals().granted_bytes, 4 * kGranuleBytes);
  EXPECT_EQ(region->uid_granted_bytes(1000), 4 * kGranuleBytes) << "the uid pays until the end";
  EXPECT_EQ(region->session(dead), nullptr);
}

TEST_F(Recovery, ShowsNothingGrantedToADrainingSessionWhoseSpansAreOrphans) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(alive, 100));
  const auto plan = region->plan_grant(dead, {1, 1, 256, 1}, kPlenty);
  ASSERT_TRUE(plan);
  region->begin_recovery(dead);
  EXPECT_TRUE(region->recover_step(kPlenty, 1).empty());
  EXPECT_EQ(region.descriptor(first).state, SpanState::kOrphan);
  EXPECT_EQ(region.view().session(dead).granted_spans.load_relaxed(), 0U);
  EXPECT_EQ(region.view().session(dead).granted_bytes.load_relaxed(), kGranuleBytes) << "the plan";
  region->abandon_grant(*plan);
  EXPECT_EQ(region.view().session(dead).granted_bytes.load_relaxed(), 0U);
  EXPECT_EQ(region.finish_recovery().size(), 1U);
}

TEST_F(Recovery, WorksInSlicesOfAboutTheBudget) {
  for (int i = 0; i < 10; ++i) (void)carved_span(dead);  // 1024 words each
  region->begin_recovery(dead);
  EXPECT_EQ(state(dead), SessionState::kDraining);
  int slices = 0;
  while (region->recovery_pending()) {
    const std::uint64_t before = region->totals().granted_bytes;
    const auto ended = region->recover_step(2048, 1);
    ++slices;
    EXPECT_LE(before - region->totals().granted_bytes, 2 * kGranuleBytes);
    EXPECT_EQ(ended.empty(), region->recovery_pending());
    ASSERT_LT(slices, 100);
  }
  EXPECT_GE(slices, 5);
}

TEST_F(Recovery, LeavesTheIdUnusedUntilItsLastSlice) {
  Limits limits;
  limits.max_sessions = limits.max_sessions_per_uid = ~0U;
  CoreRegion full(64, limits);
  const std::uint32_t first = full.open_session();
  (void)full.granted(first);
  (void)full.granted(first);
  // All other ids are taken: whoever comes next can only get the dead one's.
  for (std::uint32_t i = region::kFirstSession + 1; i < region::kSessionLimit; ++i) {
    (void)full.open_session();
  }
  full->begin_recovery(first);
  EXPECT_TRUE(full->recover_step(1, 1).empty());
  EXPECT_TRUE(refused(full->open_session({1, 1, 1}, "", 1), Errc::kTooManySessions));
  EXPECT_EQ(full->session_count(), region::kSessionLimit - region::kFirstSession);
  full.finish_recovery();
  EXPECT_EQ(full.open_session(), first);
}

TEST_F(Recovery, ServesAllWhoDiedInOnePass) {
  const std::uint32_t another = region.open_session(1002);
  const std::uint64_t first = carved_span(dead);
  const std::uint64_t second = carved_span(another);
  set_word(first, 0, owned_word(another, 100));
  set_word(second, 0, owned_word(dead, 100));
  region->begin_recovery(dead);
  region->begin_recovery(another);
  EXPECT_EQ(region->recover_step(kPlenty, 1).size(), 2U);
  EXPECT_EQ(region->extents().free_granules(), 64U);
}

TEST_F(Recovery, OfOneWhoDiesDuringAPassWaitsForTheNext) {
  const std::uint64_t behind = carved_span(alive);
  (void)carved_span(alive);
  set_word(behind, 0, owned_word(alive, 100, OwnWord::kExposed));
  region->begin_recovery(dead);
  EXPECT_TRUE(region->recover_step(1, 1).empty()) << "the cursor has passed the first span";
  region->begin_recovery(alive);
  const auto ended = region.finish_recovery();
  ASSERT_EQ(ended.size(), 2U);
  EXPECT_EQ(ended[0].session, dead);
  EXPECT_EQ(ended[1].session, alive);
  EXPECT_EQ(region->extents().free_granules(), 64U);
  EXPECT_EQ(word(behind), OwnWord::make(OwnWord::kFreed, 101));
}

TEST_F(Recovery, GivesWayToAReceiverWhoAdoptedBeforeTheScan) {
  const std::uint64_t first = carved_span(dead);
  const std::uint64_t second = carved_span(dead);
  set_word(first, 0, owned_word(dead, 100, kOfferedFlags));
  set_word(second, 0, owned_word(dead, 100, kOfferedFlags));
  region->begin_recovery(dead);
  EXPECT_TRUE(region->recover_step(1, 1).empty());
  // The first offer is gone; the second can still be adopted.
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFreed, 101));
  std::uint32_t offered = owned_word(dead, 100, kOfferedFlags);
  ASSERT_TRUE(region.word(second).compare_exchange_acq_rel(
      offered, owned_word(alive, 100, OwnWord::kExposed)));
  EXPECT_EQ(region.finish_recovery().size(), 1U);
  EXPECT_EQ(word(second), owned_word(alive, 100, OwnWord::kExposed));
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region.descriptor(second).state, SpanState::kOrphan);
}

TEST_F(Recovery, BegunTwiceIsTheSame) {
  (void)carved_span(dead);
  region->begin_recovery(dead);
  EXPECT_TRUE(region->recover_step(1, 1).empty());
  region->begin_recovery(dead);
  EXPECT_EQ(region.finish_recovery().size(), 1U);
  region->begin_recovery(dead);
  EXPECT_FALSE(region->recovery_pending());
  EXPECT_EQ(region->totals().recoveries, 1U);
  EXPECT_TRUE(region->recover_step(kPlenty, 1).empty());
}

TEST_F(Recovery, WaitsForAGrantThatIsBeingCommitted) {
  const auto plan = region->plan_grant(dead, {2, 1, 1024, 1}, kPlenty);
  ASSERT_TRUE(plan);
  region.memory().open(plan->high_water_granules);
  region->begin_recovery(dead);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(region->recover_step(kPlenty, 1).empty());
  EXPECT_TRUE(region->recovery_pending());
  EXPECT_TRUE(refused(region->finish_grant(*plan, 1), Errc::kUnknownSession));
  EXPECT_EQ(region.descriptor(plan->first), region::SpanDescriptor{});
  EXPECT_EQ(region->recover_step(kPlenty, 1).size(), 1U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->extents().free_granules(), 64U);
}

TEST_F(Recovery, OfADetachedSessionTakesWhatItHad) {
  const std::uint64_t first = carved_span(dead);
  region->detach(dead);
  region.recover(dead);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
}

TEST_F(Recovery, ReadsNoWordBeyondThoseCommitted) {
  const std::uint64_t first = region.granted(alive, 1, 1, 256);
  set_word(first, 256, owned_word(dead, 100));  // nobody's: uncommitted
  region.recover(dead);
  EXPECT_EQ(word(first, 256), owned_word(dead, 100));
}

}  // namespace
}  // namespace allot::core
