// What a grant decides, plans and writes. What it refuses has a file of its own.

#include "daemon/core/region_core.hpp"

#include <cstdint>
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
  EXPECT_TRUE(refused(region->return_spans(session, {plan->first}, 1), Errc::kNotOwner));
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
  ASSERT_TRUE(region->return_spans(former, {first}, 1));
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

}  // namespace
}  // namespace allot::core
