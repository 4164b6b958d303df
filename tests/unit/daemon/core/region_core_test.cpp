// Sessions and returns. Grants, heaps, punching, names and recovery have files of their own.

#include "daemon/core/region_core.hpp"

#include <cstdint>
#include <set>

#include <gtest/gtest.h>

#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::kGranuleBytes;
using region::SessionState;
using region::SpanState;
using test::CoreRegion;
using test::kPlenty;
using test::refused;

SessionState state_of(const CoreRegion& region, std::uint32_t session) {
  return static_cast<SessionState>(region.view().session(session).state.load_acquire());
}

TEST(Header, SaysWhatTheRegionIs) {
  CoreRegion region(64);
  const region::DirectoryHeader& header = region.view().header();
  EXPECT_EQ(header.magic, region::kMagic);
  EXPECT_EQ(header.fingerprint, region::fingerprint());
  EXPECT_EQ(header.granules, 64U);
  EXPECT_EQ(header.region_tag, test::kRegionTag);
  EXPECT_EQ(header.created_unix_ns, 1U);
  EXPECT_EQ(header.boot_epoch.load_relaxed(), 1U);
  EXPECT_EQ(protocol::text(header.name), "test");
}

// --- sessions ---

TEST(Sessions, AreEnteredInTheTable) {
  CoreRegion region;
  const auto ticket = region->open_session({4711, 1000, 100}, "sensor", 99);
  ASSERT_TRUE(ticket);
  EXPECT_EQ(ticket->id, region::kFirstSession);
  const region::SessionEntry& entry = region.view().session(ticket->id);
  EXPECT_EQ(state_of(region, ticket->id), SessionState::kLive);
  EXPECT_EQ(entry.pid, 4711U);
  EXPECT_EQ(entry.uid, 1000U);
  EXPECT_EQ(entry.incarnation, ticket->incarnation);
  EXPECT_EQ(entry.connected_unix_ns, 99U);
  EXPECT_EQ(protocol::text(entry.label), "sensor");
  EXPECT_EQ(region->session_count(), 1U);
}

TEST(Sessions, HaveDistinctIdsAndIncarnations) {
  CoreRegion region;
  std::set<std::uint32_t> ids;
  std::set<std::uint64_t> incarnations;
  for (int i = 0; i < 100; ++i) {
    const auto ticket = region->open_session({1, 1000, 1}, "", 1);
    ASSERT_TRUE(ticket);
    ids.insert(ticket->id);
    incarnations.insert(ticket->incarnation);
  }
  EXPECT_EQ(ids.size(), 100U);
  EXPECT_EQ(incarnations.size(), 100U);
}

TEST(Sessions, ReuseAnIdAsLateAsPossible) {
  CoreRegion region;
  const std::uint32_t first = region.open_session();
  region.recover(first);
  std::uint32_t opened = 0;
  for (std::uint32_t next = 0; next != first; ++opened) {
    next = region.open_session();
    ASSERT_GE(next, region::kFirstSession);
    ASSERT_LT(next, region::kSessionLimit);
    region.recover(next);
  }
  EXPECT_EQ(opened, region::kSessionLimit - region::kFirstSession);
}

TEST(Sessions, AreLimitedPerRegionAndTheErrorNamesTheLimit) {
  Limits limits;
  limits.max_sessions = 2;
  CoreRegion region(64, limits);
  (void)region.open_session(1);
  const std::uint32_t second = region.open_session(2);
  const auto third = region->open_session({1, 3, 1}, "", 1);
  ASSERT_TRUE(refused(third, Errc::kTooManySessions));
  EXPECT_EQ(third.error().detail, "max_sessions = 2");
  EXPECT_EQ(region->totals().refusals, 1U);
  region.recover(second);
  EXPECT_TRUE(region->open_session({1, 3, 1}, "", 1));
}

TEST(Sessions, AreLimitedPerUidAndTheErrorNamesTheLimit) {
  Limits limits;
  limits.max_sessions_per_uid = 1;
  CoreRegion region(64, limits);
  (void)region.open_session(1000);
  const auto second = region->open_session({1, 1000, 1}, "", 1);
  ASSERT_TRUE(refused(second, Errc::kTooManySessions));
  EXPECT_EQ(second.error().detail, "max_sessions_per_uid = 1");
  EXPECT_TRUE(region->open_session({1, 1001, 1}, "", 1));
}

TEST(Sessions, FillTheWholeTableIfTheLimitsAllow) {
  Limits limits;
  limits.max_sessions = ~0U;
  limits.max_sessions_per_uid = ~0U;
  CoreRegion region(64, limits);
  std::set<std::uint32_t> ids;
  for (std::uint32_t i = region::kFirstSession; i < region::kSessionLimit; ++i) {
    ids.insert(region.open_session());
  }
  EXPECT_EQ(ids.size(), region::kSessionLimit - region::kFirstSession);
  EXPECT_TRUE(refused(region->open_session({1, 1, 1}, "", 1), Errc::kTooManySessions));
}

TEST(Sessions, DetachedKeepTheirMemoryAndGetNoMore) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session);
  region->detach(session);
  EXPECT_EQ(state_of(region, session), SessionState::kDetached);
  EXPECT_TRUE(refused(region.grant(session), Errc::kUnknownSession));
  EXPECT_TRUE(refused(region->return_spans(session, {first}, 1), Errc::kUnknownSession));
  EXPECT_TRUE(refused(region->attach_heap(session), Errc::kUnknownSession));
  EXPECT_EQ(region->totals().granted_bytes, kGranuleBytes);
  EXPECT_EQ(region.descriptor(first).session, session);
  EXPECT_FALSE(region->recovery_pending());
}

TEST(Sessions, ThatNobodyOpenedHaveNoRights) {
  CoreRegion region;
  EXPECT_TRUE(refused(region->plan_grant(20, {1, 1, 1024, 1}, kPlenty), Errc::kUnknownSession));
  EXPECT_TRUE(refused(region->return_spans(20, {0}, 1), Errc::kUnknownSession));
  EXPECT_TRUE(refused(region->find(20, "x"), Errc::kUnknownSession));
  region->detach(20);
  region->note_goodbye(20);
  region->begin_recovery(20);
  EXPECT_FALSE(region->recovery_pending());
}

// --- returns ---

TEST(Returns, FreeTheSpanAndRefundItsBytes) {
  CoreRegion region;
  const std::uint32_t session = region.open_session(1000);
  const std::uint64_t first = region.granted(session, 3);
  region.carve_large(first);
  ASSERT_TRUE(region->return_spans(session, {first}, 5));
  for (std::uint64_t granule = first; granule < first + 3; ++granule) {
    EXPECT_EQ(region.descriptor(granule), region::SpanDescriptor{}) << granule;
  }
  EXPECT_EQ(region->session(session)->granted_bytes, 0U);
  EXPECT_EQ(region->session(session)->granted_spans, 0U);
  EXPECT_EQ(region.view().session(session).granted_bytes.load_relaxed(), 0U);
  EXPECT_EQ(region.view().session(session).granted_spans.load_relaxed(), 0U);
  EXPECT_EQ(region->uid_granted_bytes(1000), 0U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->totals().returns, 1U);
  EXPECT_EQ(region->extents().free_granules(), 64U);
}

TEST(Returns, OfASpanWithALiveBlockAreRefused) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint32_t other = region.open_session();
  const std::uint64_t first = region.granted(session, 1, 1, 4096);
  region.carve(first, region::bin_of(16));
  const std::uint32_t last = 4095;
  for (const std::uint32_t word :
       {test::owned_word(session, 100), test::owned_word(other, 100, OwnWord::kExposed),
        OwnWord::make(OwnWord::kKept, 100)}) {
    region.word(first, last).store_release(word);
    const auto returned = region->return_spans(session, {first}, 1);
    EXPECT_TRUE(refused(returned, Errc::kBadArgument));
    EXPECT_EQ(region.descriptor(first).session, session);
  }
  for (const std::uint32_t owner : {OwnWord::kFreed, OwnWord::kTaken}) {
    region.word(first, last).store_release(OwnWord::make(owner, 100));
    ASSERT_TRUE(region->return_spans(session, {first}, 1)) << owner;
    ASSERT_EQ(region.granted(session, 1, 1, 4096), first);
  }
}

TEST(Returns, OfWhatIsNotASpanOfThisSessionAreRefused) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint32_t other = region.open_session();
  const std::uint64_t first = region.granted(session, 3);
  EXPECT_TRUE(refused(region->return_spans(other, {first}, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->return_spans(session, {first + 1}, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->return_spans(session, {first + 3}, 1), Errc::kNotOwner)) << "free";
  EXPECT_TRUE(refused(region->return_spans(session, {64}, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->return_spans(session, {(std::uint64_t{1} << 32) + first}, 1),
                      Errc::kNotOwner))
      << "must not be cut to 32 bits";
  ASSERT_TRUE(region->return_spans(session, {first}, 1));
  EXPECT_TRUE(refused(region->return_spans(session, {first}, 1), Errc::kNotOwner)) << "twice";
  EXPECT_EQ(region->totals().returns, 1U);
}

TEST(Returns, TakeARunOfSpansOrNoneOfThem) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint32_t other = region.open_session();
  const std::uint64_t first = region.granted(session, 2, 3);
  const std::uint64_t longer = region.granted(session, 4);
  ASSERT_EQ(longer, first + 6);
  const std::uint64_t foreign = region.granted(other, 1);
  ASSERT_EQ(foreign, first + 10);
  for (const std::uint64_t granules : {3U, 9U}) {
    EXPECT_TRUE(refused(region->return_spans(session, {first, granules}, 1), Errc::kBadArgument))
        << "no span ends there";
  }
  EXPECT_TRUE(refused(region->return_spans(session, {first, 11}, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->return_spans(session, {first + 1, 9}, 1), Errc::kNotOwner));
  for (const std::uint64_t granules : {std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
    EXPECT_TRUE(refused(region->return_spans(session, {first, granules}, 1), Errc::kNotOwner));
  }
  region.carve_large(longer, 1);
  region.word(longer).store_release(test::owned_word(session, 1));
  EXPECT_TRUE(refused(region->return_spans(session, {first, 10}, 1), Errc::kBadArgument)) << "live";
  EXPECT_EQ(region->session(session)->granted_bytes, 10 * kGranuleBytes);
  EXPECT_EQ(region->totals().returns, 0U);
  region.word(longer).store_release(OwnWord::make(OwnWord::kFree, 1));
  ASSERT_TRUE(region->return_spans(session, {first, 10}, 1));
  EXPECT_EQ(region->totals().returns, 4U);
  EXPECT_EQ(region->session(session)->granted_bytes, 0U);
  EXPECT_EQ(region.descriptor(foreign).session, other);
}

TEST(Returns, OfMoreWordsThanATurnMayLookAtAreRefused) {
  CoreRegion region(512);
  const std::uint32_t session = region.open_session();
  const std::uint64_t granules = 300;
  const std::uint64_t first = region.granted(session, 1, 200, 4096);
  ASSERT_EQ(region.granted(session, 1, 100, 4096), first + 200);
  EXPECT_TRUE(refused(region->return_spans(session, {first, granules}, 1), Errc::kBadArgument));
  ASSERT_TRUE(region->return_spans(session, {first, 256}, 1));
}

TEST(Pressure, RisesWhereMemoryIsShortAndFallsWhereItIsNot) {
  core::Limits limits;
  limits.commit_limit_bytes = 64 * kGranuleBytes;
  CoreRegion region(64, limits);
  const auto& pressure = region.view().header().pressure;
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session, 56);
  EXPECT_EQ(pressure.load_relaxed(), 0U);
  const std::uint64_t second = region.granted(session, 1);
  const std::uint64_t raised = pressure.load_relaxed();
  EXPECT_NE(raised, 0U);
  ASSERT_TRUE(refused(region.grant(session, 10), Errc::kCommitLimit));
  EXPECT_GT(pressure.load_relaxed(), raised) << "those who answered are asked again";
  ASSERT_TRUE(region->return_spans(session, {first}, 1));
  ASSERT_TRUE(region->return_spans(session, {second}, 1));
  (void)region.granted(session, 1);
  EXPECT_EQ(pressure.load_relaxed(), 0U);
}

TEST(Returns, TakeSpansOfOneGrantOneByOne) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session, 2, 3);
  ASSERT_TRUE(region->return_spans(session, {first + 2}, 1));
  EXPECT_EQ(region.descriptor(first).state, SpanState::kGranted);
  EXPECT_EQ(region.descriptor(first + 4).state, SpanState::kGranted);
  EXPECT_EQ(region->session(session)->granted_bytes, 4 * kGranuleBytes);
}

// --- heaps ---

}  // namespace
}  // namespace allot::core
