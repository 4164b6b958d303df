// What stays after a death until its last block is free: orphans; and large blocks that were freed by
// others and that nobody collects.

#include <cstdint>

#include <gtest/gtest.h>

#include "daemon/core/region_core.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"
#include "tests/unit/daemon/core/recovery_fixture.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::bin_of;
using region::kGranuleBytes;
using region::SpanState;
using test::kPlenty;
using test::owned_word;
using test::refused;

using Orphans = Recovery;

TEST_F(Orphans, GoWithTheirLastBlockWhenThatIsReported) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(alive, 100, OwnWord::kExposed));
  set_word(first, 1, owned_word(alive, 100, OwnWord::kExposed));
  region.recover(dead);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 101));
  region->note_freed(first, 1);
  EXPECT_EQ(region.descriptor(first).state, SpanState::kOrphan) << "one block is left";
  set_word(first, 1, OwnWord::make(OwnWord::kFreed, 101));
  region->note_freed(first, 1);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region->orphan_count(), 0U);
  EXPECT_FALSE(region->sweep_wanted());
  EXPECT_EQ(region->uid_granted_bytes(1000), 0U);
}

TEST_F(Orphans, AreSweptIfNobodyReportedTheirLastFree) {
  const std::uint64_t first = carved_span(dead);
  const std::uint64_t second = carved_span(dead);
  const std::uint64_t third = carved_span(dead);
  for (const std::uint64_t span : {first, second, third}) set_word(span, 0, owned_word(alive, 100));
  region.recover(dead);
  EXPECT_EQ(region->orphan_count(), 3U);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 100));
  set_word(second, 0, OwnWord::make(OwnWord::kFreed, 100));
  region->sweep(1);
  EXPECT_EQ(region->orphan_count(), 1U);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region.descriptor(second), region::SpanDescriptor{});
  EXPECT_EQ(region.descriptor(third).state, SpanState::kOrphan);
}

TEST_F(Orphans, GoWithTheirLastUser) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(alive, 100, OwnWord::kExposed));
  region.recover(dead);
  region.recover(alive);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region->totals().granted_bytes, 0U);
}

TEST_F(Orphans, AreNobodysToReturn) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(alive, 100));
  region.recover(dead);
  EXPECT_TRUE(refused(region->return_spans(alive, {first}, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->return_spans(0, {first}, 1), Errc::kUnknownSession));
}

// --- large blocks that nobody collects ---

struct LargeBlocks : Recovery {
  // A block of `alive`'s that another session freed, which said so at kFreedAt.
  std::uint64_t freed_large() {
    const std::uint64_t first = large_span(alive, 3);
    set_word(first, 0, OwnWord::make(OwnWord::kFreed, 101));
    region->note_freed(first, kFreedAt);
    return first;
  }
  static constexpr std::uint64_t kFreedAt = 1'000'000'000;
  static constexpr std::uint64_t kDelay = 100'000'000;
};

TEST_F(LargeBlocks, AreTakenOnceTheirSessionHadTimeToCollect) {
  const std::uint64_t first = freed_large();
  EXPECT_TRUE(region->sweep_wanted());
  region->sweep(kFreedAt + kDelay - 1);
  EXPECT_EQ(OwnWord::owner(word(first)), OwnWord::kFreed);
  region->sweep(kFreedAt + kDelay);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kTaken, 101));
  EXPECT_FALSE(region->sweep_wanted());
  EXPECT_EQ(region.descriptor(first).session, alive) << "the span stays its session's";
  EXPECT_EQ(region->session(alive)->granted_bytes, 3 * kGranuleBytes);
}

TEST_F(LargeBlocks, WhenTakenArePunchedInSlicesButNotTheirOwnWord) {
  const std::uint64_t first = freed_large();
  region->sweep(kPlenty);
  EXPECT_TRUE(region->punch_wanted());
  std::uint64_t next = first;
  for (const std::uint64_t length : {2U, 1U}) {
    const auto ranges = region->next_punch(2, 0);
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_EQ(ranges[0].file, RegionFile::kData);
    EXPECT_EQ(ranges[0].offset_bytes, next * kGranuleBytes);
    EXPECT_EQ(ranges[0].length_bytes, length * kGranuleBytes);
    next += length;
  }
  EXPECT_FALSE(region->punch_wanted());
  EXPECT_TRUE(region->next_punch(2, kPlenty).empty());
}

TEST_F(LargeBlocks, TakenAndReturnedAreNotPunchedAsTaken) {
  const std::uint64_t first = freed_large();
  region->sweep(kPlenty);
  (void)region->next_punch(1, 0);
  ASSERT_TRUE(region->return_spans(alive, {first}, kFreedAt));
  EXPECT_TRUE(region->next_punch(1, kFreedAt).empty()) << "free memory waits for its delay";
  ASSERT_EQ(region.granted(alive, 3), first);
  EXPECT_FALSE(region->punch_wanted());
}

TEST_F(LargeBlocks, TakenGoWithTheirSession) {
  const std::uint64_t first = freed_large();
  region->sweep(kPlenty);
  region.recover(alive);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  for (const FileRange& range : region.punch_all(kPlenty)) {
    EXPECT_NE(range.length_bytes, 0U);
  }
  EXPECT_EQ(region->dirty_bytes(), 0U);
}

TEST_F(LargeBlocks, CollectedInTimeAreLeftAlone) {
  const std::uint64_t first = freed_large();
  set_word(first, 0, OwnWord::make(OwnWord::kFree, 101));
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFree, 101));
  set_word(first, 0, owned_word(alive, 101));
  region->note_freed(first, kFreedAt);
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), owned_word(alive, 101));
  EXPECT_FALSE(region->punch_wanted());
}

// The session collected the block and cut the span into small blocks, the first of which another
// session freed since: to take that one would punch the bytes of all the others.
TEST_F(LargeBlocks, ThatBecameASpanOfSmallBlocksAreNotTaken) {
  const std::uint64_t first = large_span(alive, 1);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 101));
  region->note_freed(first, kFreedAt);
  region.carve(first, bin_of(256));
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 200));
  set_word(first, 1, owned_word(alive, 200));
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFreed, 200));
  EXPECT_FALSE(region->punch_wanted());
}

TEST_F(LargeBlocks, FreedByRecoveryAreTakenToo) {
  const std::uint64_t first = large_span(alive);
  set_word(first, 0, owned_word(dead, 100, OwnWord::kExposed));
  region.recover(dead);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFreed, 101));
  EXPECT_NE(hint(first), 0U);
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kTaken, 101));
}

TEST_F(LargeBlocks, OfSmallSpansAndStrangersAreNotNoted) {
  const std::uint64_t first = carved_span(alive);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 100));
  region->note_freed(first, 1);
  region->note_freed(first + 1, 1);
  region->note_freed(63, 1);
  region->note_freed(64, 1);
  region->note_freed(kPlenty, 1);
  const auto plan = region->plan_grant(alive, {1, 1, 256, 1}, kPlenty);
  ASSERT_TRUE(plan);
  region->note_freed(plan->first, 1);
  EXPECT_FALSE(region->sweep_wanted());
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFreed, 100));
  region->abandon_grant(*plan);
}

}  // namespace
}  // namespace allot::core
