// Reservations: whose they are, how they grow and shrink, what ends them and what is refused.

#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/core/audit_input.hpp"
#include "daemon/core/region_core.hpp"
#include "shared/region/audit.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::kGranuleBytes;
using test::CoreRegion;
using test::kPlenty;
using test::refused;
using testing::HasSubstr;

Limits roomy() {
  Limits limits;
  limits.session_reserve_bytes = limits.uid_reserve_bytes = limits.reserve_limit_bytes = kGiB;
  return limits;
}

struct Reservations : testing::Test {
  std::uint64_t reserved(std::uint32_t session, std::uint64_t granules) {
    const auto got = region->reserve(session, {granules, granules});
    EXPECT_TRUE(got) << got.error().message();
    return got ? got->first : 0;
  }
  Expected<protocol::Granted> grow(std::uint32_t session, std::uint64_t at, std::uint32_t granules,
                                   std::uint32_t count = 1, std::uint32_t align = 1) {
    const auto plan = region->plan_grant(session, {granules, count, 256, align, at}, kPlenty);
    if (!plan) return plan.error();
    region.memory().open(plan->high_water_granules);
    return region->finish_grant(*plan, 1);
  }
  // As a session carves what it grew: one large block of its own.
  void own(std::uint32_t session, std::uint64_t first, std::uint32_t flags = 0) {
    region.carve_large(first);
    region.word(first).store_release(test::owned_word(session, 100, flags));
  }

  CoreRegion region{64, roomy()};
  std::uint32_t one = region.open_session(1000);
  std::uint32_t two = region.open_session(1001);
};

TEST_F(Reservations, CostNoMemoryAndNoQuota) {
  const std::uint64_t first = reserved(one, 16);
  EXPECT_EQ(first, 0U);
  EXPECT_EQ(region->session(one)->reservation_bytes, 16 * kGranuleBytes);
  EXPECT_EQ(region->session(one)->granted_bytes, 0U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->high_water_granules(), 0U) << "nobody's window opens for it";
  EXPECT_EQ(region->extents().free_granules(), 48U);
}

TEST_F(Reservations, GrowSpanBySpanEachDirectlyBehindTheLast) {
  const std::uint64_t first = reserved(one, 16);
  EXPECT_EQ(grow(one, first, 1)->first, first);
  EXPECT_EQ(region.granted(two, 1), first + 16) << "somebody else's lie elsewhere";
  EXPECT_EQ(grow(one, first + 1, 2)->first, first + 1);
  EXPECT_EQ(grow(one, first + 3, 4, 2)->first, first + 3);
  EXPECT_EQ(region->session(one)->granted_bytes, 11 * kGranuleBytes);
  EXPECT_EQ(region->session(one)->granted_spans, 4U);
  EXPECT_EQ(region->session(one)->reservation_bytes, 16 * kGranuleBytes);
  EXPECT_EQ(region->extents().reserved_granules(), 5U);
  EXPECT_EQ(region.descriptor(first + 3).granules, 4U);
}

TEST_F(Reservations, ShrinkAndGrowAgain) {
  const std::uint64_t first = reserved(one, 16);
  ASSERT_TRUE(grow(one, first, 2));
  ASSERT_TRUE(grow(one, first + 2, 4));
  ASSERT_TRUE(region->return_spans(one, {first + 2}, region.now_ns));
  EXPECT_EQ(region->extents().free_granules(), 48U) << "back to the reservation";
  EXPECT_EQ(region->extents().reserved_granules(), 14U);
  EXPECT_EQ(region->session(one)->granted_bytes, 2 * kGranuleBytes);
  EXPECT_EQ(grow(one, first + 2, 8)->first, first + 2);
}

TEST_F(Reservations, SayWhetherTheirMemoryWasUsedBefore) {
  const std::uint64_t first = reserved(one, 16);
  EXPECT_EQ(grow(one, first, 4)->used_granules, 0U);
  ASSERT_TRUE(region->return_spans(one, {first}, region.now_ns));
  EXPECT_EQ(region->dirty_bytes(), 4 * kGranuleBytes);
  EXPECT_EQ(grow(one, first, 2)->used_granules, 2U);
  EXPECT_EQ(grow(one, first + 2, 4)->used_granules, 2U);
  ASSERT_TRUE(region->return_spans(one, {first + 2}, region.now_ns));
  EXPECT_FALSE(region.punch_all(region.now_ns + 1'000'000'000'000).empty())
      << "what came back to a reservation goes back to the machine";
  EXPECT_EQ(grow(one, first + 2, 4)->used_granules, 0U);
}

TEST_F(Reservations, KeepAHoleThatItsSessionMade) {
  const std::uint64_t first = reserved(one, 16);
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(grow(one, first + 2 * i, 2));
  ASSERT_TRUE(region->return_spans(one, {first + 2}, region.now_ns));
  EXPECT_TRUE(refused(grow(one, first + 2, 3), Errc::kSizeTooLarge));
  EXPECT_TRUE(grow(one, first + 2, 2));
  EXPECT_TRUE(grow(one, first + 8, 8));
}

TEST_F(Reservations, NeverOverlap) {
  const std::uint64_t a = reserved(one, 10);
  const std::uint64_t b = reserved(two, 10);
  const std::uint64_t c = reserved(one, 10);
  EXPECT_TRUE(a + 10 <= b && b + 10 <= c);
  EXPECT_TRUE(refused(grow(one, a, 11), Errc::kSizeTooLarge)) << "not into its neighbour";
}

TEST_F(Reservations, AreHalvedUntilTheyFitAndOnceMore) {
  EXPECT_EQ(region->reserve(one, {200, 1})->granules, 32U) << "not all that there is";
  ASSERT_TRUE(region->unreserve(one, 0));
  (void)region.granted(two, 8);
  EXPECT_EQ(region->reserve(one, {64, 1})->granules, 16U) << "32 fit; some are left to others";
  EXPECT_EQ(region->reserve(one, {64, 20})->granules, 20U);
  EXPECT_EQ(region->reserve(one, {16, 1})->granules, 16U) << "what fits is not halved";
  EXPECT_TRUE(refused(region->reserve(one, {64, 20}), Errc::kRegionFull));
  EXPECT_EQ(region->reserve(one, {64, 4})->granules, 4U);
}

TEST_F(Reservations, EndWithWhatWasGrantedInThemGranted) {
  const std::uint64_t first = reserved(one, 16);
  ASSERT_TRUE(grow(one, first, 2));
  ASSERT_TRUE(grow(one, first + 2, 2));
  ASSERT_TRUE(region->unreserve(one, first));
  EXPECT_EQ(region->session(one)->reservation_bytes, 0U);
  EXPECT_EQ(region->totals().reservation_bytes, 0U);
  EXPECT_EQ(region->extents().reserved_granules(), 0U);
  EXPECT_EQ(region->session(one)->granted_spans, 2U);
  EXPECT_TRUE(refused(grow(one, first + 4, 1), Errc::kNotOwner));
  ASSERT_TRUE(region->return_spans(one, {first}, 1));
  ASSERT_TRUE(region->return_spans(one, {first + 2}, 1));
  EXPECT_EQ(region->extents().extent_count(), 1U);
}

TEST_F(Reservations, AGrantThatIsBeingCommittedOutlivesItsReservation) {
  const std::uint64_t first = reserved(one, 16);
  const auto kept = region->plan_grant(one, {2, 1, 256, 1, first}, kPlenty);
  const auto lost = region->plan_grant(one, {2, 1, 256, 1, first + 2}, kPlenty);
  ASSERT_TRUE(kept && lost);
  ASSERT_TRUE(region->unreserve(one, first));
  region.memory().open(64);
  ASSERT_TRUE(region->finish_grant(*kept, 1));
  region->abandon_grant(*lost);
  EXPECT_EQ(region->extents().free_granules(), 62U);
  EXPECT_TRUE(region->extents().is_consistent());
}

TEST_F(Reservations, TakeBackAGrantThatWasAbandoned) {
  const std::uint64_t first = reserved(one, 16);
  const auto plan = region->plan_grant(one, {2, 1, 256, 1, first}, kPlenty);
  ASSERT_TRUE(plan);
  region->abandon_grant(*plan);
  EXPECT_EQ(region->extents().reserved_granules(), 16U);
  EXPECT_TRUE(grow(one, first, 16));
}

TEST_F(Reservations, EndWithTheirSession) {
  const std::uint64_t first = reserved(one, 16);
  ASSERT_TRUE(grow(one, first, 2));
  own(one, first);
  (void)reserved(one, 8);
  ASSERT_EQ(region.recover(one).size(), 1U);
  EXPECT_EQ(region->totals().reservation_bytes, 0U);
  EXPECT_EQ(region->uid_reservation_bytes(1000), 0U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->extents().extent_count(), 1U);
}

TEST_F(Reservations, LeaveAnOrdinaryOrphanWhereABlockWasGivenAway) {
  const std::uint64_t first = reserved(one, 16);
  for (std::uint64_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(grow(one, first + 2 * i, 2));
    own(one, first + 2 * i);
  }
  own(two, first + 2);
  ASSERT_EQ(region.recover(one).size(), 1U);
  EXPECT_EQ(region->orphan_count(), 1U);
  EXPECT_EQ(region->extents().free_granules(), 62U);
  EXPECT_EQ(region->extents().reserved_granules(), 0U);
  region.word(first + 2).store_release(OwnWord::make(OwnWord::kFreed, 100));
  region->note_freed(first + 2, region.now_ns);
  EXPECT_EQ(region->extents().extent_count(), 1U);
}

TEST_F(Reservations, DoNotCountAsGrantedInTheAudit) {
  const std::uint64_t first = reserved(one, 16);
  ASSERT_TRUE(grow(one, first, 2));
  (void)region.granted(two, 1);  // behind it: the window spans the reservation
  auto input = audit_input(*region, region->high_water_granules());
  region::Audit audit(region.view(), region->high_water_granules(), std::move(input));
  while (!audit.step(1000)) {
  }
  EXPECT_EQ(audit.report().violation_count, 0U);
  EXPECT_EQ(audit.report().total.granted_bytes, 3 * kGranuleBytes);
}

// --- refusals: each costs nobody anything ---

TEST_F(Reservations, OfOthersAreRefused) {
  const std::uint64_t first = reserved(one, 16);
  EXPECT_TRUE(refused(grow(two, first, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->unreserve(two, first), Errc::kNotOwner));
  EXPECT_TRUE(grow(one, first, 1));
}

TEST_F(Reservations, GrowNowhereElse) {
  const std::uint64_t first = reserved(one, 16);
  ASSERT_TRUE(grow(one, first, 4));
  for (const std::uint64_t at :
       {first, first + 3, first + 5, first + 16, std::uint64_t{63}, std::uint64_t{64},
        (std::uint64_t{1} << 32) + first + 4, ~std::uint64_t{0} - 1}) {
    EXPECT_TRUE(refused(grow(one, at, 1), Errc::kNotOwner)) << at;
  }
  EXPECT_TRUE(refused(grow(one, first + 4, 13), Errc::kSizeTooLarge));
  EXPECT_TRUE(refused(grow(one, first + 4, 4, 4), Errc::kSizeTooLarge));
  EXPECT_TRUE(refused(grow(one, first + 4, 1, 1, 8), Errc::kBadAlignment));
  EXPECT_TRUE(refused(grow(one, first + 4, 0), Errc::kSizeZero));
  EXPECT_EQ(region->totals().refusals, 12U);
  EXPECT_TRUE(grow(one, first + 4, 12));
}

TEST_F(Reservations, OfNoSizeAreRefused) {
  EXPECT_TRUE(refused(region->reserve(one, {0, 0}), Errc::kSizeZero));
  EXPECT_TRUE(refused(region->reserve(one, {1, 0}), Errc::kSizeZero));
  EXPECT_TRUE(refused(region->reserve(one, {1, 2}), Errc::kBadArgument));
  EXPECT_TRUE(refused(region->reserve(one, {~std::uint64_t{0}, 65}), Errc::kSizeTooLarge));
  EXPECT_EQ(region->reserve(one, {~std::uint64_t{0}, 1})->granules, 32U);
}

TEST_F(Reservations, ThatEndedAreStale) {
  const std::uint64_t first = reserved(one, 16);
  ASSERT_TRUE(region->unreserve(one, first));
  EXPECT_TRUE(refused(region->unreserve(one, first), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->unreserve(one, ~std::uint64_t{0}), Errc::kNotOwner));
  EXPECT_TRUE(refused(grow(one, first, 1), Errc::kNotOwner));
}

TEST_F(Reservations, AreForLiveSessionsOnly) {
  const std::uint64_t first = reserved(one, 16);
  region->detach(one);
  EXPECT_TRUE(refused(region->reserve(one, {1, 1}), Errc::kUnknownSession));
  EXPECT_TRUE(refused(region->unreserve(one, first), Errc::kUnknownSession));
  EXPECT_TRUE(refused(grow(one, first, 1), Errc::kUnknownSession));
  EXPECT_EQ(region->totals().reservation_bytes, 16 * kGranuleBytes) << "the image may live";
}

TEST_F(Reservations, SpendTheQuotaAsTheyGrow) {
  Limits limits = roomy();
  limits.session_quota_bytes = 3 * kGranuleBytes;
  CoreRegion small(64, limits);
  const std::uint32_t session = small.open_session();
  const std::uint64_t first = small->reserve(session, {16, 16})->first;
  ASSERT_TRUE(small->plan_grant(session, {3, 1, 256, 1, first}, kPlenty));
  EXPECT_TRUE(
      refused(small->plan_grant(session, {1, 1, 256, 1, first + 3}, kPlenty), Errc::kSessionQuota));
  EXPECT_EQ(small->extents().reserved_granules(), 13U);
}

TEST(ReservationLimits, AreNamedInTheRefusal) {
  for (const auto& [field, name, who] :
       {std::tuple(&Limits::session_reserve_bytes, "session_reserve_bytes = 393216", "session "),
        std::tuple(&Limits::uid_reserve_bytes, "uid_reserve_bytes = 393216", "uid 1000 "),
        std::tuple(&Limits::reserve_limit_bytes, "reserve_limit_bytes = 393216", "")}) {
    Limits limits = roomy();
    limits.*field = 6 * kGranuleBytes;
    CoreRegion region(64, limits);
    const std::uint32_t session = region.open_session();
    ASSERT_TRUE(region->reserve(session, {4, 4}));
    const auto more = region->reserve(session, {8, 4});
    ASSERT_TRUE(refused(more, Errc::kReserveLimit));
    EXPECT_THAT(more.error().detail, HasSubstr(name));
    EXPECT_THAT(more.error().detail, HasSubstr("wanted 262144, used 262144"));
    EXPECT_THAT(more.error().detail, testing::StartsWith(who));
    EXPECT_EQ(region->reserve(session, {8, 2})->granules, 2U) << "exactly the limit";
  }
}

TEST(ReservationLimits, AreAnEighthAQuarterAndAHalfOfTheRegion) {
  CoreRegion region(64);
  EXPECT_EQ(region->limits().session_reserve_bytes, 8 * kGranuleBytes);
  EXPECT_EQ(region->limits().uid_reserve_bytes, 16 * kGranuleBytes);
  EXPECT_EQ(region->limits().reserve_limit_bytes, 32 * kGranuleBytes);
  for (const uid_t uid : {1U, 1U, 1U, 2U, 2U, 3U}) {
    (void)region->reserve(region.open_session(uid), {8, 1});
  }
  EXPECT_EQ(region->uid_reservation_bytes(1), 16 * kGranuleBytes);
  EXPECT_EQ(region->extents().free_granules(), 32U) << "the others can go on";
}

TEST(ReservationLimits, AreOfNumberToo) {
  CoreRegion region(1 << 16, roomy());
  const std::uint32_t session = region.open_session();
  for (std::size_t i = 0; i < kMaxReservationsPerSession; ++i) {
    ASSERT_TRUE(region->reserve(session, {1, 1}));
  }
  EXPECT_TRUE(refused(region->reserve(session, {1, 1}), Errc::kReserveLimit));
  (void)region.recover(session);
  EXPECT_EQ(region->extents().extent_count(), 1U);
}

}  // namespace
}  // namespace allot::core
