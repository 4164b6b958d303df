#include "daemon/core/extents.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/seed.hpp"

namespace allot::core {
namespace {

using First = std::optional<std::uint32_t>;

// Takes one span of each length, in order, from a map of free granules.
std::vector<std::uint32_t> take(ExtentMap& map, const std::vector<std::uint32_t>& lengths) {
  std::vector<std::uint32_t> firsts;
  for (const std::uint32_t length : lengths) firsts.push_back(map.allocate(length, 1, 1).value());
  return firsts;
}

TEST(Extents, BeginAsOneFreeExtent) {
  ExtentMap map(100);
  EXPECT_EQ(map.free_granules(), 100U);
  EXPECT_EQ(map.largest_free(), 100U);
  EXPECT_EQ(map.extent_count(), 1U);
  EXPECT_EQ(map.find(0), nullptr) << "a free extent is no span";
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, TheSmallestExtentThatServesIsCut) {
  ExtentMap map(100);
  const auto firsts = take(map, {10, 1, 4, 1, 6, 1});
  map.release(firsts[0]);  // free: 10 at 0, 4 at 11, 6 at 16, the rest from 23
  map.release(firsts[2]);
  map.release(firsts[4]);
  EXPECT_EQ(map.allocate(5, 1, 1), First{16});
  EXPECT_EQ(map.allocate(4, 1, 1), First{11});
  EXPECT_EQ(map.allocate(7, 1, 1), First{0});
  EXPECT_EQ(map.allocate(11, 1, 1), First{23});
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, AmongEqualExtentsTheLowestAddressIsTaken) {
  ExtentMap map(100);
  const auto firsts = take(map, {5, 1, 5, 1, 5, 1});
  map.release(firsts[4]);
  map.release(firsts[0]);
  map.release(firsts[2]);
  EXPECT_EQ(map.allocate(5, 1, 1), First{0});
  EXPECT_EQ(map.allocate(5, 1, 1), First{6});
  EXPECT_EQ(map.allocate(5, 1, 1), First{12});
}

TEST(Extents, AlignmentLeavesTheRestFreeOnBothSides) {
  ExtentMap map(64);
  take(map, {3});
  EXPECT_EQ(map.allocate(8, 1, 16), First{16});
  EXPECT_EQ(map.free_granules(), 64U - 3 - 8);
  EXPECT_EQ(map.allocate(13, 1, 1), First{3}) << "the part before the aligned span is free";
  EXPECT_EQ(map.allocate(40, 1, 8), First{24}) << "the part behind it too";
  EXPECT_EQ(map.free_granules(), 0U);
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, AlignmentPassesOverExtentsThatAreLongEnoughButBadlyPlaced) {
  ExtentMap map(64);
  const auto firsts = take(map, {1, 7, 1});  // 7 free at 1: no 4 granules aligned to 8 in them
  map.release(firsts[1]);
  EXPECT_EQ(map.allocate(4, 1, 8), First{16});
  EXPECT_EQ(map.allocate(4, 1, 4), First{4});
}

TEST(Extents, SeveralSpansLieSideBySideAndAreReleasedOneByOne) {
  ExtentMap map(64);
  take(map, {1});
  ASSERT_EQ(map.allocate(3, 4, 2), First{2});
  EXPECT_EQ(map.free_granules(), 64U - 1 - 12);
  for (const std::uint32_t first : {2U, 5U, 8U, 11U}) {
    ASSERT_NE(map.find(first), nullptr) << first;
    EXPECT_EQ(map.find(first)->granules(), 3U);
  }
  EXPECT_EQ(map.find(3), nullptr) << "the middle of a span is not its beginning";
  map.release(5);
  EXPECT_EQ(map.find(5), nullptr);
  EXPECT_NE(map.find(8), nullptr);
  EXPECT_EQ(map.allocate(3, 1, 1), First{5});
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, ReleasedSpansJoinFreeNeighboursOnEitherSide) {
  const std::vector<std::vector<std::size_t>> orders = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (const auto& order : orders) {
    ExtentMap map(12);
    const auto firsts = take(map, {4, 4, 4});
    for (const std::size_t which : order) {
      map.release(firsts.at(which));
      ASSERT_TRUE(map.is_consistent());
    }
    EXPECT_EQ(map.extent_count(), 1U);
    EXPECT_EQ(map.largest_free(), 12U);
  }
}

TEST(Extents, UsedNeighboursStayApart) {
  ExtentMap map(12);
  const auto firsts = take(map, {4, 4, 4});
  map.release(firsts[1]);
  EXPECT_EQ(map.extent_count(), 3U);
  EXPECT_EQ(map.largest_free(), 4U);
}

TEST(Extents, ExhaustionIsRefusedAndCostsNothing) {
  ExtentMap map(16);
  EXPECT_EQ(map.allocate(17, 1, 1), std::nullopt);
  EXPECT_EQ(map.allocate(6, 3, 1), std::nullopt);
  EXPECT_EQ(map.allocate(~0U, ~0U, 1), std::nullopt) << "the product overflows 32 bits";
  EXPECT_EQ(map.allocate(1, 1, 32), First{0});
  EXPECT_EQ(map.allocate(1, 1, 32), std::nullopt) << "nothing else is aligned";
  EXPECT_EQ(map.allocate(15, 1, 1), First{1});
  EXPECT_EQ(map.allocate(1, 1, 1), std::nullopt);
  EXPECT_EQ(map.largest_free(), 0U);
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, FragmentsAreNotMistakenForARun) {
  ExtentMap map(16);
  const auto firsts = take(map, {4, 4, 4, 4});
  map.release(firsts[0]);
  map.release(firsts[2]);
  EXPECT_EQ(map.free_granules(), 8U);
  EXPECT_EQ(map.allocate(5, 1, 1), std::nullopt);
}

TEST(Extents, AtOrAfterGivesTheExtentAroundOrBehindAGranule) {
  ExtentMap map(16);
  take(map, {4, 4});
  EXPECT_EQ(map.at_or_after(0)->first(), 0U);
  EXPECT_EQ(map.at_or_after(3)->first(), 0U);
  EXPECT_EQ(map.at_or_after(4)->first(), 4U);
  EXPECT_EQ(map.at_or_after(9)->first(), 8U);
  EXPECT_TRUE(map.at_or_after(15)->is_free());
  EXPECT_EQ(map.at_or_after(16), nullptr);
}

// --- reserved extents ---

TEST(Extents, ReservedAreNeitherFreeNorSpans) {
  ExtentMap map(16);
  take(map, {2});
  ASSERT_EQ(map.reserve(8), First{2});
  EXPECT_EQ(map.free_granules(), 6U);
  EXPECT_EQ(map.reserved_granules(), 8U);
  EXPECT_EQ(map.find(2), nullptr);
  ASSERT_NE(map.find_reserved(2), nullptr);
  EXPECT_EQ(map.find_reserved(0), nullptr) << "a span";
  EXPECT_EQ(map.find_reserved(3), nullptr) << "its middle";
  EXPECT_EQ(map.find_reserved(10), nullptr) << "a free extent";
  EXPECT_EQ(map.allocate(7, 1, 1), std::nullopt);
  EXPECT_EQ(map.reserve(7), std::nullopt);
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, SpansAreCutFromTheBeginningOfReservedOnes) {
  ExtentMap map(16);
  ASSERT_EQ(map.reserve(10), First{0});
  map.cut(0, 2, 3);
  for (const std::uint32_t first : {0U, 2U, 4U}) ASSERT_NE(map.find(first), nullptr) << first;
  ASSERT_NE(map.find_reserved(6), nullptr);
  EXPECT_EQ(map.find_reserved(6)->granules(), 4U);
  map.cut(6, 4, 1);
  EXPECT_EQ(map.reserved_granules(), 0U);
  EXPECT_EQ(map.free_granules(), 6U);
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, SpansComeBackToTheirReservationAndNoOther) {
  ExtentMap map(16);
  ASSERT_EQ(map.reserve(4), First{0});
  ASSERT_EQ(map.reserve(8), First{4});
  map.cut(4, 2, 2);
  map.give_back(4, 4, 12);
  EXPECT_EQ(map.find_reserved(4)->granules(), 2U)
      << "joined neither with another's nor over a span";
  map.give_back(6, 4, 12);
  EXPECT_EQ(map.find_reserved(4)->granules(), 8U);
  EXPECT_EQ(map.find_reserved(0)->granules(), 4U);
  EXPECT_EQ(map.reserved_granules(), 12U);
  EXPECT_TRUE(map.is_consistent());
}

TEST(Extents, ReservedOnesAreReleasedIntoTheirFreeNeighbours) {
  ExtentMap map(16);
  const auto firsts = take(map, {2});
  ASSERT_EQ(map.reserve(8), First{2});
  map.release(firsts[0]);
  map.release(2);
  EXPECT_EQ(map.extent_count(), 1U);
  EXPECT_EQ(map.reserved_granules(), 0U);
  EXPECT_EQ(map.free_granules(), 16U);
  EXPECT_TRUE(map.is_consistent());
}

// A bitmap that is searched from the left: what best fit must say, the slow way.
class Bitmap {
 public:
  explicit Bitmap(std::uint32_t granules) : used_(granules, false) {}

  [[nodiscard]] First best_fit(std::uint32_t wanted, std::uint32_t alignment) const {
    First best;
    std::uint32_t best_length = ~0U;
    for (std::uint32_t start = 0; start < used_.size();) {
      std::uint32_t end = start;
      while (end < used_.size() && !used_[end]) ++end;
      const std::uint32_t first = (start + alignment - 1) / alignment * alignment;
      if (end - start < best_length && first + wanted <= end) {
        best = first;
        best_length = end - start;
      }
      start = end == start ? start + 1 : end;
    }
    return best;
  }
  void set(std::uint32_t first, std::uint32_t length, bool used) {
    for (std::uint32_t i = 0; i < length; ++i) used_[first + i] = used;
  }
  [[nodiscard]] std::uint32_t free_count() const {
    std::uint32_t count = 0;
    for (const bool used : used_) count += used ? 0U : 1U;
    return count;
  }

 private:
  std::vector<bool> used_;
};

TEST(Extents, AgreeWithABitmapOver100000RandomOperations) {
  const test::SeedRange range = test::seeds(10);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    const std::uint32_t granules = random.between(1, 300);
    const std::uint32_t longest = random.between(1, 40);
    ExtentMap map(granules);
    Bitmap bitmap(granules);
    std::map<std::uint32_t, std::uint32_t> spans;
    for (int step = 0; step < 10'000; ++step) {
      if (spans.empty() || random.percent(52)) {
        const std::uint32_t length = random.between(1, longest);
        const std::uint32_t count = random.percent(20) ? random.between(1, 6) : 1;
        const std::uint32_t alignment = random.percent(30) ? 1U << random.below(7U) : 1U;
        const First first = map.allocate(length, count, alignment);
        ASSERT_EQ(first, bitmap.best_fit(length * count, alignment)) << step;
        if (!first) continue;
        for (std::uint32_t i = 0; i < count; ++i) spans[*first + i * length] = length;
        bitmap.set(*first, length * count, true);
      } else {
        auto span = spans.begin();
        std::advance(span, random.below(spans.size()));
        map.release(span->first);
        bitmap.set(span->first, span->second, false);
        spans.erase(span);
      }
      ASSERT_TRUE(map.is_consistent()) << step;
      ASSERT_EQ(map.free_granules(), bitmap.free_count()) << step;
      if (step % 100 != 0) continue;
      for (const auto& [first, length] : spans) {
        ASSERT_NE(map.find(first), nullptr);
        ASSERT_EQ(map.find(first)->granules(), length);
      }
    }
    for (const auto& [first, length] : spans) map.release(first);
    EXPECT_EQ(map.extent_count(), 1U);
    EXPECT_EQ(map.free_granules(), granules);
  }
}

}  // namespace
}  // namespace allot::core
