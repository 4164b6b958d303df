// What a grant decides, plans, writes and refuses.

#include "daemon/core/region_core.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::FileLayout;
using region::kGranuleBytes;
using region::SpanState;
using test::CoreRegion;
using test::kPlenty;
using test::refused;
using testing::AllOf;
using testing::HasSubstr;

TEST(Grants, WriteTheDescriptorsOfEachSpan) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  ASSERT_EQ(region.granted(session, 3, 2, 512), 0U);
  for (const std::uint64_t first : {0U, 3U}) {
    EXPECT_EQ(region.descriptor(first),
              (region::SpanDescriptor{SpanState::kGranted, session, 3, 2}));
    EXPECT_EQ(region.descriptor(first + 1),
              (region::SpanDescriptor{SpanState::kInterior, 0, 1, 0}));
    EXPECT_EQ(region.descriptor(first + 2),
              (region::SpanDescriptor{SpanState::kInterior, 0, 2, 0}));
  }
  EXPECT_EQ(region.descriptor(6), region::SpanDescriptor{});
  EXPECT_EQ(region.view().header().high_water_granules.load_acquire(), 6U);
}

TEST(Grants, AnswerWhatWasGranted) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const auto plan = region->plan_grant(session, {2, 3, 256, 1}, kPlenty);
  ASSERT_TRUE(plan);
  region.memory().open(plan->high_water_granules);
  const auto granted = region->finish_grant(*plan, 1);
  ASSERT_TRUE(granted);
  EXPECT_EQ(granted->first, plan->first);
  EXPECT_EQ(granted->granules, 2U);
  EXPECT_EQ(granted->count, 3U);
  EXPECT_EQ(granted->words, 256U);
  EXPECT_EQ(granted->high_water_granules, 6U);
}

TEST(Grants, AreInvisibleUntilTheyAreFinished) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const auto plan = region->plan_grant(session, {2, 1, 1024, 1}, kPlenty);
  ASSERT_TRUE(plan);
  EXPECT_EQ(region->high_water_granules(), 0U);
  EXPECT_EQ(region.view().header().high_water_granules.load_acquire(), 0U);
  region.memory().open(plan->high_water_granules);
  EXPECT_EQ(region.descriptor(plan->first), region::SpanDescriptor{});
  EXPECT_EQ(region->session(session)->granted_spans, 0U);
  EXPECT_TRUE(refused(region->return_span(session, plan->first, 1), Errc::kNotOwner));
}

TEST(Grants, PlanToCommitDataWordsLedgersAndDescriptorsOfJustTheirSpans) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  (void)region.granted(session, 5);
  const auto plan = region->plan_grant(session, {2, 2, 512, 1}, kPlenty);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->first, 5U);
  struct Range {
    RegionFile file;
    std::uint64_t offset;
    std::uint64_t length;
  };
  const FileLayout layout{64};
  const std::vector<Range> expected = {
      {RegionFile::kDirectory, FileLayout::kDescriptorsOffset + 40, 32},
      {RegionFile::kLedger, FileLayout::kSpanLedgersOffset + 320, 256},
      {RegionFile::kLedger, layout.words_offset() + 81'920, 2048},
      {RegionFile::kLedger, layout.words_offset() + 114'688, 2048},
      {RegionFile::kData, 5 * kGranuleBytes, 4 * kGranuleBytes},
  };
  ASSERT_EQ(plan->ranges.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(plan->ranges[i].file, expected[i].file) << i;
    EXPECT_EQ(plan->ranges[i].offset_bytes, expected[i].offset) << i;
    EXPECT_EQ(plan->ranges[i].length_bytes, expected[i].length) << i;
  }
}

TEST(Grants, InvalidateTheWordsAndCarvingOfFormerOwners) {
  CoreRegion region;
  const std::uint32_t former = region.open_session();
  const std::uint64_t first = region.granted(former, 1, 1, 1024);
  region.carve(first, region::bin_of(64));
  region.view().span_ledger(first).hint.store_release(1);
  region.word(first, 1000).store_release(OwnWord::make(OwnWord::kFreed, 7));
  ASSERT_TRUE(region->return_span(former, first, 1));
  const std::uint32_t next = region.open_session();
  ASSERT_EQ(region.granted(next, 1, 1, 1024), first);
  for (std::uint32_t i = 0; i < 1024; ++i) ASSERT_EQ(region.word(first, i).load_acquire(), 0U) << i;
  EXPECT_EQ(region.view().span_ledger(first).carve.load_acquire(), 0U);
  EXPECT_EQ(region.view().span_ledger(first).hint.load_acquire(), 0U);
}

TEST(Grants, AreAlignedAsAsked) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  (void)region.granted(session, 1);
  EXPECT_EQ(region.grant(session, 4, 1, 1024, 16).value(), 16U);
}

TEST(Grants, CountInBytesAndSpans) {
  CoreRegion region;
  const std::uint32_t session = region.open_session(1000);
  (void)region.granted(session, 2, 3);
  const std::uint64_t bytes = 6 * kGranuleBytes;
  EXPECT_EQ(region->session(session)->granted_bytes, bytes);
  EXPECT_EQ(region->session(session)->granted_spans, 3U);
  EXPECT_EQ(region.view().session(session).granted_bytes.load_relaxed(), bytes);
  EXPECT_EQ(region.view().session(session).granted_spans.load_relaxed(), 3U);
  EXPECT_EQ(region->uid_granted_bytes(1000), bytes);
  EXPECT_EQ(region->uid_granted_bytes(1001), 0U);
  EXPECT_EQ(region->totals().granted_bytes, bytes);
  EXPECT_EQ(region->totals().grants, 1U);
}

TEST(Grants, AbandonedLeaveNothingBehindButPagesToPunch) {
  CoreRegion region;
  const std::uint32_t session = region.open_session(1000);
  const auto plan = region->plan_grant(session, {2, 2, 1024, 1}, kPlenty);
  ASSERT_TRUE(plan);
  EXPECT_EQ(region->session(session)->granted_bytes, 4 * kGranuleBytes) << "reserved meanwhile";
  region->abandon_grant(*plan);
  EXPECT_EQ(region->session(session)->granted_bytes, 0U);
  EXPECT_EQ(region->uid_granted_bytes(1000), 0U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->extents().free_granules(), 64U);
  EXPECT_EQ(region->extents().extent_count(), 1U);
  // The commit may have got half way. Nothing was ever visible: no need to wait.
  EXPECT_EQ(region->dirty_bytes(), 4 * kGranuleBytes);
  region.memory().open(64);
  EXPECT_FALSE(region.punch_all(region.now_ns).empty());
  EXPECT_FALSE(region->punch_wanted());
}

TEST(Grants, OfASessionThatEndedMeanwhileAreAbandoned) {
  CoreRegion region;
  const std::uint32_t session = region.open_session(1000);
  const auto plan = region->plan_grant(session, {2, 1, 1024, 1}, kPlenty);
  ASSERT_TRUE(plan);
  region.memory().open(plan->high_water_granules);
  region->detach(session);
  EXPECT_TRUE(refused(region->finish_grant(*plan, 1), Errc::kUnknownSession));
  EXPECT_EQ(region.descriptor(plan->first), region::SpanDescriptor{});
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->uid_granted_bytes(1000), 0U);
  EXPECT_EQ(region->extents().free_granules(), 64U);
}

TEST(Grants, FinishedOutOfOrderKeepTheHighestWaterMark) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const auto low = region->plan_grant(session, {2, 1, 1024, 1}, kPlenty);
  const auto high = region->plan_grant(session, {2, 1, 1024, 1}, kPlenty);
  ASSERT_TRUE(low && high);
  region.memory().open(high->high_water_granules);
  ASSERT_TRUE(region->finish_grant(*high, 1));
  const auto granted = region->finish_grant(*low, 1);
  ASSERT_TRUE(granted);
  EXPECT_EQ(granted->high_water_granules, 4U);
  EXPECT_EQ(region.view().header().high_water_granules.load_acquire(), 4U);
}

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
  const auto more = plan(kGranuleBytes + 999);
  ASSERT_TRUE(refused(more, Errc::kMachineFull));
  EXPECT_THAT(more.error().detail, AllOf(HasSubstr("wanted 65536"), HasSubstr("66535 available"),
                                         HasSubstr("available_floor_bytes = 1000")));
  EXPECT_TRUE(refused(plan(0), Errc::kMachineFull));
  EXPECT_TRUE(refused(plan(999), Errc::kMachineFull));
  EXPECT_TRUE(plan(kGranuleBytes + 1000));
}

TEST(Grants, ThatFitInNoFreeRunAreRefusedWithTheLongestRun) {
  CoreRegion region(16);
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session, 4, 4);
  ASSERT_TRUE(region->return_span(session, first, 1));
  ASSERT_TRUE(region->return_span(session, first + 8, 1));
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
