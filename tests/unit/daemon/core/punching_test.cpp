// Memory going back: what next_punch() names, when, and what it must never name.

#include "daemon/core/region_core.hpp"

#include <cstdint>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/core_region.hpp"

namespace allot::core {
namespace {

using region::FileLayout;
using region::kGranuleBytes;
using test::CoreRegion;
using test::kPlenty;

TEST(Punching, WaitsAWhileAfterTheFree) {
  Limits limits;
  limits.punch_delay_ms = 200;
  CoreRegion region(64, limits);
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session, 3);
  constexpr std::uint64_t kFreedAt = 1'000'000'000;
  ASSERT_TRUE(region->return_spans(session, {first}, kFreedAt));
  EXPECT_TRUE(region->punch_wanted());
  EXPECT_EQ(region->dirty_bytes(), 3 * kGranuleBytes);
  EXPECT_TRUE(region->next_punch(100, kFreedAt + 199'999'999).empty());
  EXPECT_EQ(region->next_punch(100, kFreedAt + 200'000'000).size(), 2U);
  EXPECT_EQ(region->dirty_bytes(), 0U);
  EXPECT_FALSE(region->punch_wanted());
  EXPECT_TRUE(region->next_punch(100, kPlenty).empty());
}

TEST(Punching, DoesNotWaitWithMoreThanAnybodyMayWantBackSoon) {
  constexpr auto kMost = static_cast<std::uint32_t>(RegionCore::kMostDelayedGranules);
  CoreRegion region(std::uint64_t{4} * kMost);
  const std::uint32_t session = region.open_session();
  const std::uint64_t most = region.granted(session, kMost);
  const std::uint64_t more = region.granted(session, 5);
  constexpr std::uint64_t kFreedAt = 1'000'000'000;
  ASSERT_TRUE(region->return_spans(session, {most}, kFreedAt));
  EXPECT_FALSE(region->punch_is_urgent());
  EXPECT_TRUE(region->next_punch(100, kFreedAt).empty());
  ASSERT_TRUE(region->return_spans(session, {more}, kFreedAt));
  EXPECT_TRUE(region->punch_is_urgent());
  EXPECT_FALSE(region->next_punch(5, kFreedAt).empty());
  EXPECT_FALSE(region->punch_is_urgent());
  EXPECT_TRUE(region->next_punch(100, kFreedAt).empty());
  EXPECT_EQ(region->dirty_bytes(), kMost * kGranuleBytes);
}

TEST(Punching, WhatFailedIsDirtyAndTriedAgainLater) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session, 3);
  ASSERT_TRUE(region->return_spans(session, {first}, 0));
  constexpr std::uint64_t kNow = 5'000'000'000;
  const auto ranges = region->next_punch(100, kNow);
  ASSERT_EQ(ranges.size(), 2U);
  for (const FileRange& range : ranges) region->punch_failed(range, kNow);
  EXPECT_EQ(region->dirty_bytes(), 3 * kGranuleBytes)
      << "its next holder is not told that it is zero";
  EXPECT_TRUE(region->next_punch(100, kNow).empty());
  EXPECT_EQ(region->next_punch(100, 2 * kNow), ranges);
}

TEST(Punching, TakesDataAndOwnWordsInSlices) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  (void)region.granted(session, 2);
  const std::uint64_t first = region.granted(session, 5);
  ASSERT_TRUE(region->return_spans(session, {first}, 0));
  const FileLayout layout{64};
  std::uint64_t next = first;
  for (const std::uint64_t length : {2U, 2U, 1U}) {
    const auto ranges = region->next_punch(2, kPlenty);
    ASSERT_EQ(ranges.size(), 2U);
    EXPECT_EQ(ranges[0].file, RegionFile::kData);
    EXPECT_EQ(ranges[0].offset_bytes, next * kGranuleBytes);
    EXPECT_EQ(ranges[0].length_bytes, length * kGranuleBytes);
    EXPECT_EQ(ranges[1].file, RegionFile::kLedger);
    EXPECT_EQ(ranges[1].offset_bytes, layout.words_offset() + next * 16384);
    EXPECT_EQ(ranges[1].length_bytes, length * 16384);
    next += length;
  }
  EXPECT_TRUE(region->next_punch(2, kPlenty).empty());
}

// Granules [2, 8) are free and dirty; a grant takes a part of them: the rest stays to be punched.
TEST(Punching, NeverNamesAGranuleThatWasGrantedAgain) {
  struct Case {
    std::uint32_t align;
    std::uint32_t granules;
    std::uint64_t expected_first;
    std::set<std::uint64_t> left;
  };
  const std::vector<Case> cases = {{1, 2, 2, {4, 5, 6, 7}},
                                   {4, 2, 4, {2, 3, 6, 7}},
                                   {2, 4, 2, {6, 7}},
                                   {4, 4, 4, {2, 3}},
                                   {1, 6, 2, {}}};
  for (const Case& one : cases) {
    CoreRegion region(16);
    const std::uint32_t session = region.open_session();
    (void)region.granted(session, 2);
    const std::uint64_t low = region.granted(session, 3);
    const std::uint64_t high = region.granted(session, 3);
    (void)region.granted(session, 8);
    ASSERT_TRUE(region->return_spans(session, {low}, 0));
    ASSERT_TRUE(region->return_spans(session, {high}, 0));
    const auto plan = region->plan_grant(session, {one.granules, 1, 1024, one.align}, kPlenty);
    ASSERT_TRUE(plan);
    ASSERT_EQ(plan->first, one.expected_first);
    EXPECT_EQ(region->dirty_bytes(), one.left.size() * kGranuleBytes);
    std::set<std::uint64_t> punched;
    for (const FileRange& range : region.punch_all(kPlenty, 2)) {
      if (range.file != RegionFile::kData) continue;
      for (std::uint64_t at = 0; at < range.length_bytes; at += kGranuleBytes) {
        EXPECT_TRUE(punched.insert((range.offset_bytes + at) / kGranuleBytes).second) << "twice";
      }
    }
    EXPECT_EQ(punched, one.left) << one.granules << " at " << one.align;
    EXPECT_EQ(region->dirty_bytes(), 0U);
  }
}

TEST(Punching, NewMemoryThatNobodyHadIsClean) {
  CoreRegion region;
  EXPECT_FALSE(region->punch_wanted());
  (void)region.granted(region.open_session());
  EXPECT_FALSE(region->punch_wanted());
}

}  // namespace
}  // namespace allot::core
