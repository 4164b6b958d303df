// The grants that are refused: why, by which limit, and in words that fit a message.

#include "daemon/core/region_core.hpp"

#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"

namespace allot::core {
namespace {

using region::kGranuleBytes;
using test::CoreRegion;
using test::kPlenty;
using test::refused;
using testing::AllOf;
using testing::HasSubstr;

struct BadRequest {
  protocol::GrantRequest request;
  Errc errc;
};

class GrantArguments : public testing::TestWithParam<BadRequest> {};

TEST_P(GrantArguments, OutOfRangeAreRefusedAndCounted) {
  CoreRegion region(64);
  const std::uint32_t session = region.open_session();
  const auto plan = region->plan_grant(session, GetParam().request, kPlenty);
  EXPECT_TRUE(refused(plan, GetParam().errc));
  EXPECT_EQ(region->totals().refusals, 1U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->extents().free_granules(), 64U);
}

INSTANTIATE_TEST_SUITE_P(All, GrantArguments,
                         testing::Values(BadRequest{{0, 1, 1024, 1}, Errc::kSizeZero},
                                         BadRequest{{1, 0, 1024, 1}, Errc::kSizeZero},
                                         BadRequest{{65, 1, 1024, 1}, Errc::kSizeTooLarge},
                                         BadRequest{{8, 9, 1024, 1}, Errc::kSizeTooLarge},
                                         BadRequest{{~0U, ~0U, 1024, 1}, Errc::kSizeTooLarge},
                                         BadRequest{{1, 1, 1024, 0}, Errc::kBadAlignment},
                                         BadRequest{{1, 1, 1024, 3}, Errc::kBadAlignment},
                                         BadRequest{{1, 1, 1024, 128}, Errc::kBadAlignment},
                                         BadRequest{{1, 1, 0, 1}, Errc::kBadArgument},
                                         BadRequest{{1, 1, 100, 1}, Errc::kBadArgument},
                                         BadRequest{{1, 1, 4096 + 256, 1}, Errc::kBadArgument},
                                         BadRequest{{2, 1, ~0U - 255, 1}, Errc::kBadArgument}));

// More words than a descriptor can say would read as fewer.
TEST(Grants, CommitNoMoreWordsThanADescriptorCanSay) {
  CoreRegion region(1 << 18, {});
  const std::uint32_t session = region.open_session();
  const protocol::GrantRequest request{1 << 17, 1, 1 << 28, 1};
  EXPECT_TRUE(refused(region->plan_grant(session, request, kPlenty), Errc::kBadArgument));
}

TEST(Grants, BeyondTheSessionQuotaAreRefusedByName) {
  Limits limits;
  limits.session_quota_bytes = 3 * kGranuleBytes;
  CoreRegion region(64, limits);
  const std::uint32_t session = region.open_session();
  (void)region.granted(session, 2);
  const auto more = region.grant(session, 2);
  ASSERT_TRUE(refused(more, Errc::kSessionQuota));
  EXPECT_THAT(more.error().detail,
              AllOf(HasSubstr("session " + std::to_string(session)), HasSubstr("wanted 131072"),
                    HasSubstr("used 131072"), HasSubstr("session_quota_bytes = 196608")));
  EXPECT_TRUE(region.grant(session, 1)) << "exactly the quota";
  EXPECT_TRUE(refused(region.grant(session, 1), Errc::kSessionQuota));
  EXPECT_TRUE(region.grant(region.open_session(), 3)) << "the others have their own";
}

TEST(Grants, BeyondTheUidQuotaAreRefusedByName) {
  Limits limits;
  limits.uid_quota_bytes = 3 * kGranuleBytes;
  CoreRegion region(64, limits);
  const std::uint32_t one = region.open_session(1000);
  const std::uint32_t two = region.open_session(1000);
  (void)region.granted(one, 2);
  const auto more = region.grant(two, 2);
  ASSERT_TRUE(refused(more, Errc::kUidQuota));
  EXPECT_THAT(more.error().detail,
              AllOf(HasSubstr("uid 1000"), HasSubstr("wanted 131072"), HasSubstr("used 131072"),
                    HasSubstr("uid_quota_bytes = 196608")));
  EXPECT_TRUE(region.grant(two, 1));
  EXPECT_TRUE(region.grant(region.open_session(1001), 3));
}

TEST(Grants, BeyondTheCommitLimitAreRefusedByName) {
  Limits limits;
  limits.commit_limit_bytes = 3 * kGranuleBytes;
  CoreRegion region(64, limits);
  (void)region.granted(region.open_session(1000), 2);
  const std::uint32_t other = region.open_session(1001);
  const auto more = region.grant(other, 2);
  ASSERT_TRUE(refused(more, Errc::kCommitLimit));
  EXPECT_THAT(more.error().detail, AllOf(HasSubstr("wanted 131072"), HasSubstr("used 131072"),
                                         HasSubstr("commit_limit_bytes = 196608")));
  EXPECT_TRUE(region.grant(other, 1));
}

TEST(Grants, LargerThanOneRequestMayBeAreRefusedByName) {
  Limits limits;
  limits.max_grant_bytes = 3 * kGranuleBytes;
  CoreRegion region(64, limits);
  const std::uint32_t session = region.open_session();
  const auto more = region.grant(session, 2, 2);
  ASSERT_TRUE(refused(more, Errc::kSizeTooLarge));
  EXPECT_THAT(more.error().detail,
              AllOf(HasSubstr("wanted 262144"), HasSubstr("max_grant_bytes = 196608")));
  EXPECT_TRUE(region.grant(session, 3, 1));
}

TEST(Grants, ThatTheMachineCannotBearAreRefusedByName) {
  Limits limits;
  limits.available_floor_bytes = 1000;
  CoreRegion region(64, limits);
  const std::uint32_t session = region.open_session();
  const auto plan = [&](std::uint64_t available) {
    return region->plan_grant(session, {1, 1, 1024, 1}, available);
  };
  constexpr std::uint64_t kWanted = kGranuleBytes + std::uint64_t{1024} * 4;  // and own words
  const auto more = plan(kWanted + 999);
  ASSERT_TRUE(refused(more, Errc::kMachineFull));
  EXPECT_THAT(more.error().detail, AllOf(HasSubstr("wanted 69632"), HasSubstr("70631 available"),
                                         HasSubstr("available_floor_bytes = 1000")));
  EXPECT_TRUE(refused(plan(0), Errc::kMachineFull));
  EXPECT_TRUE(refused(plan(999), Errc::kMachineFull));
  EXPECT_TRUE(plan(kWanted + 1000));
}

TEST(Grants, ThatFitInNoFreeRunAreRefusedWithTheLongestRun) {
  CoreRegion region(16);
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session, 4, 4);
  ASSERT_TRUE(region->return_spans(session, {first}, 1));
  ASSERT_TRUE(region->return_spans(session, {first + 8}, 1));
  const auto more = region.grant(session, 5);
  ASSERT_TRUE(refused(more, Errc::kRegionFull));
  EXPECT_EQ(more.error().detail, "5 granules wanted, 8 free, longest free run 4");
  EXPECT_EQ(region->totals().refusals, 1U);
}

TEST(Grants, EveryRefusalFitsInAFailureMessage) {
  Limits limits;
  limits.session_quota_bytes = limits.uid_quota_bytes = (std::uint64_t{1} << 40) - 1;
  limits.max_grant_bytes = limits.commit_limit_bytes = ~std::uint64_t{0};
  CoreRegion region(region::kMaxGranules, limits);
  const auto detail_of = [&](std::uint32_t session) {
    const auto plan = region->plan_grant(session, {1 << 24, 1, 1024, 1}, kPlenty);
    return plan ? std::string() : plan.error().detail;
  };
  const std::string detail = detail_of(region.open_session(~uid_t{0} - 1));
  EXPECT_THAT(detail, HasSubstr("session_quota_bytes"));
  EXPECT_LT(detail.size(), 96U) << detail;
  limits.session_quota_bytes = ~std::uint64_t{0};
  CoreRegion other(region::kMaxGranules, limits);
  const auto plan =
      other->plan_grant(other.open_session(~uid_t{0} - 1), {1 << 24, 1, 1024, 1}, kPlenty);
  ASSERT_TRUE(refused(plan, Errc::kUidQuota));
  EXPECT_LT(plan.error().detail.size(), 96U) << plan.error().detail;
}

}  // namespace
}  // namespace allot::core
