#include "daemon/core/dirty_ranges.hpp"

#include <map>
#include <optional>

#include <gtest/gtest.h>

#include "tests/support/seed.hpp"

namespace allot::core {
namespace {

using Range = DirtyRanges::Range;

TEST(DirtyRanges, TakesWhatHasWaitedLongEnoughLowestFirst) {
  DirtyRanges dirty;
  dirty.add(20, 2, 100);
  dirty.add(10, 4, 200);
  EXPECT_EQ(dirty.granules(), 6U);
  EXPECT_EQ(dirty.take(16, 99), std::nullopt);
  EXPECT_EQ(dirty.take(16, 100), (Range{20, 2}));
  EXPECT_EQ(dirty.take(16, 199), std::nullopt);
  EXPECT_EQ(dirty.take(16, 200), (Range{10, 4}));
  EXPECT_TRUE(dirty.is_empty());
  EXPECT_EQ(dirty.granules(), 0U);
}

TEST(DirtyRanges, TakesALongRangeInSlices) {
  DirtyRanges dirty;
  dirty.add(8, 5, 1);
  EXPECT_EQ(dirty.take(2, 1), (Range{8, 2}));
  EXPECT_EQ(dirty.take(2, 1), (Range{10, 2}));
  EXPECT_EQ(dirty.take(2, 1), (Range{12, 1}));
  EXPECT_EQ(dirty.take(2, 1), std::nullopt);
}

TEST(DirtyRanges, PartsThatAreLeftKeepTheirTime) {
  DirtyRanges dirty;
  dirty.add(0, 10, 50);
  dirty.remove(3, 4);
  EXPECT_EQ(dirty.granules(), 6U);
  EXPECT_EQ(dirty.take(16, 49), std::nullopt);
  EXPECT_EQ(dirty.take(16, 50), (Range{0, 3}));
  EXPECT_EQ(dirty.take(16, 50), (Range{7, 3}));
  EXPECT_TRUE(dirty.is_empty());
}

TEST(DirtyRanges, RemovingWhatIsNotDirtyChangesNothing) {
  DirtyRanges dirty;
  dirty.add(4, 4, 1);
  dirty.remove(0, 4);
  dirty.remove(8, 100);
  EXPECT_EQ(dirty.granules(), 4U);
  dirty.remove(0, 100);
  EXPECT_TRUE(dirty.is_empty());
}

// Beside one entry for each granule.
TEST(DirtyRanges, AgreesWithOneTimeAGranule) {
  const auto range = test::seeds(200);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    DirtyRanges dirty;
    std::map<std::uint32_t, std::uint64_t> since;
    for (std::uint64_t now = 1; now < 100; ++now) {
      const std::uint32_t first = random.below(60U);
      const std::uint32_t granules = 1 + random.below(8U);
      const bool overlaps = since.lower_bound(first) != since.lower_bound(first + granules);
      if (random.percent(50) && !overlaps) {
        dirty.add(first, granules, now);
        for (std::uint32_t i = 0; i < granules; ++i) since[first + i] = now;
      } else if (random.percent(50)) {
        dirty.remove(first, granules);
        since.erase(since.lower_bound(first), since.lower_bound(first + granules));
      } else if (const auto taken = dirty.take(granules, now / 2)) {
        for (std::uint32_t i = 0; i < taken->granules; ++i) {
          const auto found = since.find(taken->first + i);
          ASSERT_NE(found, since.end());
          EXPECT_LE(found->second, now / 2);
          since.erase(found);
        }
      }
      ASSERT_EQ(dirty.granules(), since.size());
      ASSERT_EQ(dirty.is_empty(), since.empty());
    }
  }
}

}  // namespace
}  // namespace allot::core
