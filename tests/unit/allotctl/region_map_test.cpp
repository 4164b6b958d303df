// RegionMap: what is drawn is bounded, adds up, and hides no span and no violation.

#include "tools/allotctl/drawing/region_map.hpp"

#include <limits>

#include <gtest/gtest.h>

#include "tests/support/sample_map.hpp"

namespace allot::ctl {
namespace {

using test::empty_map;
using test::sample_item;

TEST(RegionMap, CellsAreAPowerOfTwoOfGranules) {
  EXPECT_EQ(empty_map(16, 16).granules_per_cell(), 1U);
  EXPECT_EQ(empty_map(15, 16).granules_per_cell(), 2U);
  EXPECT_EQ(empty_map(1, 16).granules_per_cell(), 16U);
  EXPECT_EQ(empty_map(3, 17).cells().size(), 3U);
}

TEST(RegionMap, SpanIsNotHiddenByWhatIsFree) {
  RegionMap map = empty_map(1);
  map.add(sample_item(SpanKind::kFree, 0, 15));
  map.add(sample_item(SpanKind::kLarge, 15, 1, 100));
  EXPECT_EQ(map.cells()[0].kind(), SpanKind::kLarge);
  EXPECT_EQ(map.cells()[0].granules(), 16U);
  EXPECT_EQ(map.cells()[0].session(), 20U);
}

TEST(RegionMap, CellShowsWhatHasMostOfIt) {
  RegionMap map = empty_map(1);
  MapItem small = sample_item(SpanKind::kSmall, 0, 3, 100);
  small.block_bytes = 16;
  map.add(small);
  MapItem medium = sample_item(SpanKind::kMedium, 3, 5, 20);
  medium.block_bytes = 4096;
  medium.session = 21;
  map.add(medium);
  const MapCell& cell = map.cells()[0];
  EXPECT_EQ(cell.kind(), SpanKind::kMedium);
  EXPECT_EQ(cell.session(), 21U);
  EXPECT_EQ(cell.block_bytes(), 4096U);
  EXPECT_NEAR(cell.occupancy(), 0.5, 0.001);
}

TEST(RegionMap, ItemOverManyCellsIsInEachByItsPart) {
  RegionMap map = empty_map(4);
  map.add(sample_item(SpanKind::kLarge, 2, 8, 100));
  EXPECT_EQ(map.cells()[0].granules(), 2U);
  EXPECT_EQ(map.cells()[1].granules(), 4U);
  EXPECT_EQ(map.cells()[2].granules(), 2U);
  EXPECT_TRUE(map.cells()[3].is_empty());
  EXPECT_NEAR(map.cells()[0].occupancy(), 1.0, 0.001);
  EXPECT_EQ(map.sums().spans, 1U);
}

TEST(RegionMap, AgeIsThatOfTheOldestSpan) {
  RegionMap map = empty_map(1);
  MapItem item = sample_item(SpanKind::kLarge, 0, 1, 100);
  item.granted_unix_ns = 0;
  map.add(item);
  EXPECT_EQ(map.cells()[0].oldest_unix_ns(), 0U);
  for (const std::uint64_t granted : {700U, 500U, 600U}) {
    item.granted_unix_ns = granted;
    map.add(item);
  }
  EXPECT_EQ(map.cells()[0].oldest_unix_ns(), 500U);
}

TEST(RegionMap, AddsUpWhatPagesSayOfAnOwner) {
  RegionMap map = empty_map();
  map.add(test::sample_owner(21, "b"));
  map.add(test::sample_owner(20, "a"));
  map.add(test::sample_owner(21, "b"));
  EXPECT_EQ(map.owners().at(21).spans, 2U);
  EXPECT_EQ(map.place_of(20), 0U);
  EXPECT_EQ(map.place_of(21), 1U);
  EXPECT_EQ(map.place_of(99), 2U);
}

TEST(RegionMap, StaysBoundedWhateverComes) {
  constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
  RegionMap map({"default", kAll, kAll, kAll, 0}, 100);
  EXPECT_LE(map.cells().size(), 100U);
  map.add(sample_item(SpanKind::kLarge, 5, kAll, 100));
  map.add(sample_item(SpanKind::kLarge, kAll, kAll, 100));
  map.add(sample_item(SpanKind::kLarge, 5, 0, 100));
  EXPECT_EQ(map.sums().spans, 1U);
  for (std::uint32_t i = 0; i < 30'000; ++i) {
    map.add(sample_item(SpanKind::kLarge, i, 1));
    map.add(test::sample_owner(i, "many"));
    map.add(MapViolation{i, "bad"});
  }
  EXPECT_EQ(map.items().size(), RegionMap::kMostItems);
  EXPECT_FALSE(map.has_all_items());
  EXPECT_EQ(map.owners().size(), RegionMap::kMostOwners);
  EXPECT_EQ(map.violations().size(), RegionMap::kMostViolations);
}

}  // namespace
}  // namespace allot::ctl
