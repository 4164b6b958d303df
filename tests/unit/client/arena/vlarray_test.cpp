#include <allot/vlarray.hpp>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <allot/temp.hpp>

#include "tests/support/seed.hpp"

namespace allot {
namespace {

static_assert(std::random_access_iterator<VlArray<int>::iterator>);
static_assert(std::random_access_iterator<VlArray<int>::const_iterator>);
static_assert(std::convertible_to<VlArray<int>::iterator, VlArray<int>::const_iterator>);
static_assert(!std::convertible_to<VlArray<int>::const_iterator, VlArray<int>::iterator>);

// On each kind of arena: contiguous on the first two, segmented on the others.
class VlArrayKinds : public testing::TestWithParam<ArenaKind> {
 protected:
  static Arena make() {
    switch (GetParam()) {
      case ArenaKind::kFixed: return Arena::fixed(std::size_t{1} << 24);
      case ArenaKind::kVirtual: return Arena::reserve(std::size_t{1} << 30);
      case ArenaKind::kChained: return Arena::chained();
      case ArenaKind::kChainedVirtual: break;
    }
    return Arena::reserve_chained(std::size_t{1} << 20);
  }
};
INSTANTIATE_TEST_SUITE_P(Any, VlArrayKinds,
                         testing::Values(ArenaKind::kFixed, ArenaKind::kVirtual,
                                         ArenaKind::kChained, ArenaKind::kChainedVirtual),
                         [](const auto& kind) {
                           std::string name(describe(kind.param));
                           std::erase(name, ' ');
                           return name;
                         });

TEST_P(VlArrayKinds, ElementsNeverMove) {
  Arena arena = make();
  VlArray<int> array(arena);
  std::vector<const int*> places;
  for (int i = 0; i < 300'000; ++i) {
    const int* const place = array.push_back(i);
    ASSERT_NE(place, nullptr);
    if (i % 1000 == 0) places.push_back(place);
  }
  EXPECT_EQ(array.size(), 300'000U);
  for (std::size_t i = 0; i < places.size(); ++i) {
    EXPECT_EQ(places[i], &array[i * 1000]);
    EXPECT_EQ(*places[i], static_cast<int>(i) * 1000);
  }
  EXPECT_EQ(std::accumulate(array.begin(), array.end(), std::int64_t{0}),
            std::int64_t{299'999} * 150'000);
}

TEST_P(VlArrayKinds, AgreesWithAVectorOverRandomHistories) {
  const auto range = test::seeds(10);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    Arena arena = make();
    VlArray<std::string> array(arena);
    std::vector<std::string> oracle;
    for (int i = 0; i < 3000; ++i) {
      const auto what = random.below(100U);
      const std::string text = "a text that is longer than a small one " + std::to_string(i);
      if (what < 60) {
        ASSERT_NE(array.push_back(text), nullptr);
        oracle.push_back(text);
      } else if (what < 80 && !oracle.empty()) {
        array.pop_back();
        oracle.pop_back();
      } else if (what < 90) {
        const std::size_t size = random.below(std::size_t{2000});
        ASSERT_TRUE(array.resize(size));
        oracle.resize(size);
      } else if (what < 92) {
        array.clear();
        oracle.clear();
      } else if (what < 95) {
        ASSERT_TRUE(array.reserve(random.below(std::size_t{3000})));
      } else if (!oracle.empty()) {
        ASSERT_NE(array.push_back(array.front()), nullptr) << "an element of its own";
        oracle.push_back(oracle.front());
      }
      ASSERT_EQ(array.size(), oracle.size());
      ASSERT_GE(array.capacity(), array.size());
    }
    ASSERT_TRUE(std::equal(array.begin(), array.end(), oracle.begin(), oracle.end()));
    std::sort(array.begin(), array.end());
    std::sort(oracle.begin(), oracle.end());
    ASSERT_TRUE(std::equal(array.begin(), array.end(), oracle.begin(), oracle.end()));
  }
}

TEST_P(VlArrayKinds, GivesItsMemoryBackIfItIsLast) {
  Arena arena = make();
  ASSERT_NE(arena.push(8, 8), nullptr);
  const std::size_t used = arena.used_bytes();
  {
    VlArray<std::uint64_t> array(arena);
    ASSERT_TRUE(array.resize(10'000));
    EXPECT_GE(arena.used_bytes(), used + 80'000);
  }
  EXPECT_LT(arena.used_bytes(), used + 64) << "but for padding";
}

TEST_P(VlArrayKinds, RefusesSizesThatCannotBe) {
  Arena arena = make();
  VlArray<std::uint64_t> array(arena);
  ASSERT_NE(array.push_back(1), nullptr);
  if (array.is_contiguous()) {
    for (const std::size_t count : {~std::size_t{0}, ~std::size_t{0} / 8 + 2}) {
      EXPECT_FALSE(array.reserve(count));
      EXPECT_FALSE(array.resize(count));
      EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge);
    }
  }
  EXPECT_EQ(array.size(), 1U);
  EXPECT_EQ(array[0], 1U);
}

TEST(VlArray, IsContiguousOnAVirtualArena) {
  VlArray<int> array;
  ASSERT_TRUE(array.is_contiguous());
  ASSERT_TRUE(array.resize(100'000));
  const std::span<int> all = array.span();
  ASSERT_EQ(all.size(), 100'000U);
  EXPECT_EQ(&all.back(), &array[99'999]);
  EXPECT_EQ(&all.back() - &all.front(), 99'999);
}

TEST(VlArray, IsSegmentedOnAChainedArenaAndOthersMayPush) {
  Arena arena = Arena::reserve_chained(1 << 20);
  VlArray<int> array(arena);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_NE(array.push_back(i), nullptr);
    if (i % 5000 == 0) {
      ASSERT_NE(arena.push(1), nullptr);
    }
  }
  EXPECT_TRUE(array.span().empty());
  std::size_t index = 0;
  for (std::size_t segment = 0; segment < array.segment_count(); ++segment) {
    for (const int& element : array.segment(segment)) {
      ASSERT_EQ(&element, &array[index]);
      ASSERT_EQ(static_cast<std::size_t>(element), index++);
    }
  }
  EXPECT_EQ(index, array.size());
}

TEST(VlArray, CannotGrowOnceAnotherPushLiesBehindIt) {
  Arena arena = Arena::reserve(1 << 24);
  VlArray<int> array(arena);
  ASSERT_NE(array.push_back(1), nullptr);
  const ArenaMark mark = arena.pos();
  ASSERT_NE(arena.push(1, 1), nullptr);
  const std::size_t used = arena.used_bytes();
  while (array.size() < array.capacity()) ASSERT_NE(array.push_back(2), nullptr);
  EXPECT_EQ(array.push_back(3), nullptr);
  EXPECT_EQ(Arena::last_error(), Errc::kNotLast);
  EXPECT_EQ(arena.used_bytes(), used);
  ASSERT_EQ(arena.pop_to(mark), Errc::kOk);
  EXPECT_NE(array.push_back(3), nullptr);
}

TEST(VlArray, IsFullWithItsArenaAndKeepsWhatItHas) {
  Arena arena = Arena::fixed(10'000);
  VlArray<std::uint32_t> array(arena);
  std::uint32_t count = 0;
  while (array.push_back(count) != nullptr) ++count;
  EXPECT_EQ(Arena::last_error(), Errc::kArenaFull);
  EXPECT_EQ(count, 2500U) << "to the last byte";
  for (std::uint32_t i = 0; i < count; ++i) ASSERT_EQ(array[i], i);
}

TEST(VlArray, DestroysItsElements) {
  const auto counted = std::make_shared<int>(1);
  {
    VlArray<std::shared_ptr<int>> array;
    for (int i = 0; i < 5000; ++i) ASSERT_NE(array.push_back(counted), nullptr);
    EXPECT_EQ(counted.use_count(), 5001);
    ASSERT_TRUE(array.resize(10));
    EXPECT_EQ(counted.use_count(), 11);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

TEST_P(VlArrayKinds, DoesNotGrowInAYoungerScope) {
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    Arena arena = Arena::reserve(std::size_t{1} << 30, {.checks = checks});
    VlArray<int> array(arena);
    ASSERT_NE(array.push_back(1), nullptr);
    {
      const Temp temp(arena);
      int pushed = 0;
      while (array.push_back(7) != nullptr) ASSERT_LT(++pushed, 100'000);
      EXPECT_EQ(Arena::last_error(), Errc::kScopeOpen);
      VlArray<int> inner(arena);
      for (int i = 0; i < 100'000; ++i) ASSERT_NE(inner.push_back(i), nullptr);
    }
    for (int i = 0; i < 10'000; ++i) ASSERT_NE(array.push_back(7), nullptr);
    EXPECT_EQ(array[0], 1);
    EXPECT_EQ(std::count(array.begin(), array.end(), 7),
              static_cast<std::ptrdiff_t>(array.size() - 1));
  }
}

TEST_P(VlArrayKinds, MovesWithoutMovingItsElements) {
  const auto numbers_to = [](int count) {
    VlArray<int> own;
    for (int i = 0; i < count; ++i) (void)own.push_back(i);
    return own;
  };
  VlArray<int> own = numbers_to(5000);
  EXPECT_EQ(own.size(), 5000U);
  EXPECT_EQ(own.back(), 4999);

  Arena arena = make();
  VlArray<std::string> array(arena);
  for (int i = 0; i < 3000; ++i) (void)array.push_back(std::to_string(i));
  const std::string* const first = &array.front();
  VlArray<std::string> moved(std::move(array));
  EXPECT_EQ(&moved.front(), first);
  EXPECT_EQ(moved.size(), 3000U);
  EXPECT_TRUE(array.empty());                   // NOLINT(bugprone-use-after-move): what is asked
  EXPECT_EQ(array.push_back("lost"), nullptr);  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(Arena::last_error(), Errc::kClosed);
  ASSERT_NE(moved.push_back("3000"), nullptr);
  array = std::move(moved);
  EXPECT_EQ(array.size(), 3001U);
  EXPECT_EQ(array[3000], "3000");
  const VlArray<std::string>& constant = array;
  EXPECT_EQ(constant.front(), "0");
  EXPECT_EQ(constant.back(), "3000");
}

TEST_P(VlArrayKinds, CountsTheSegmentsThatHoldElements) {
  Arena arena = make();
  VlArray<int> array(arena);
  EXPECT_EQ(array.segment_count(), 0U);
  for (const std::size_t count : {std::size_t{1}, VlArray<int>::kFirstElements}) {
    ASSERT_TRUE(array.resize(count));
    EXPECT_EQ(array.segment_count(), 1U);
  }
  ASSERT_TRUE(array.resize(VlArray<int>::kFirstElements + 1));
  EXPECT_EQ(array.segment_count(), array.is_contiguous() ? 1U : 2U);
  array.pop_back();
  EXPECT_EQ(array.segment_count(), 1U);
  std::size_t elements = 0;
  for (std::size_t i = 0; i < array.segment_count(); ++i) elements += array.segment(i).size();
  EXPECT_EQ(elements, array.size());
}

TEST_P(VlArrayKinds, KnowsAYoungerScopeThatBeganWhereItsOwnDid) {
  Arena arena = make();
  const Temp outer(arena);
  VlArray<int> array(arena);
  {
    const Temp inner(arena);
    EXPECT_EQ(array.push_back(1), nullptr);
    EXPECT_EQ(Arena::last_error(), Errc::kScopeOpen);
  }
  EXPECT_NE(array.push_back(1), nullptr);
}

TEST_P(VlArrayKinds, TakesOverOneThatNeverGrew) {
  Arena first = make();
  Arena second = make();
  VlArray<int> array(first);
  VlArray<int> empty(second);
  ASSERT_NE(array.push_back(1), nullptr);
  array = std::move(empty);
  array.clear();
  const int* const element = array.push_back(2);
  ASSERT_NE(element, nullptr);
  EXPECT_TRUE(second.contains(element));
}

}  // namespace
}  // namespace allot
