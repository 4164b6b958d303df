#include <allot/pmr.hpp>

#include <limits>
#include <memory_resource>
#include <string>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

namespace allot {
namespace {

TEST(PmrResource, CarriesAVectorAndAMap) {
  Arena arena = Arena::reserve(std::size_t{1} << 28);
  PmrResource resource(arena);
  {
    std::pmr::vector<std::pmr::string> texts(&resource);
    std::pmr::unordered_map<int, std::pmr::string> map(&resource);
    for (int i = 0; i < 10'000; ++i) {
      texts.emplace_back("a text that does not fit into the string itself " + std::to_string(i));
      map.emplace(i, texts.back());
    }
    for (int i = 0; i < 10'000; ++i) {
      ASSERT_EQ(map.at(i), texts[static_cast<std::size_t>(i)]);
      ASSERT_TRUE(arena.contains(map.at(i).data()));
    }
    ASSERT_TRUE(arena.contains(texts.data()));
  }
  EXPECT_EQ(arena.clear(), Errc::kOk);
}

TEST(PmrResource, ThrowsWhereThereIsNoRoom) {
  Arena arena = Arena::fixed(1000);
  PmrResource resource(arena);
  EXPECT_THROW((void)resource.allocate(2000, 8), std::bad_alloc);
  EXPECT_THROW((void)resource.allocate(std::numeric_limits<std::size_t>::max(), 8), std::bad_alloc);
  void* const block = resource.allocate(100, 8);
  const std::size_t used = arena.used_bytes();
  resource.deallocate(block, 100, 8);
  EXPECT_EQ(arena.used_bytes(), used - 100);
}

TEST(PmrResource, IsEqualToOneOfTheSameArena) {
  Arena arena = Arena::chained();
  Arena other = Arena::chained();
  const PmrResource one(arena);
  const PmrResource two(arena);
  const PmrResource three(other);
  EXPECT_TRUE(one == two);
  EXPECT_FALSE(one == three);
  EXPECT_FALSE(one == *std::pmr::new_delete_resource());
}

TEST(FitResource, CarriesContainersAndHasAllBackAtTheirEnd) {
  Arena arena = Arena::reserve(std::size_t{1} << 28);
  FitHeap heap = FitHeap::over(arena);
  FitResource resource(heap);
  {
    std::pmr::vector<std::pmr::string> texts(&resource);
    std::pmr::unordered_map<int, std::pmr::string> map(&resource);
    for (int i = 0; i < 3000; ++i) {
      texts.emplace_back("a text that does not fit into the string itself " + std::to_string(i));
      map.emplace(i, texts.back());
      if (i % 3 == 0) map.erase(i / 2);
    }
    for (const auto& [i, text] : map) ASSERT_EQ(text, texts[static_cast<std::size_t>(i)]);
    EXPECT_GT(heap.size_of(texts.data()), 3000 * sizeof(std::pmr::string));
    EXPECT_TRUE(heap.check());
  }
  EXPECT_EQ(heap.live_bytes(), 0U);
  EXPECT_EQ(heap.largest_free_bytes(), heap.managed_bytes());
}

TEST(FitResource, ThrowsWhereThereIsNoRoomAndIsEqualToOneOfItsHeap) {
  Arena arena = Arena::fixed(1000);
  FitHeap heap = FitHeap::over(arena);
  FitHeap other;
  FitResource resource(heap);
  EXPECT_THROW((void)resource.allocate(2000, 8), std::bad_alloc);
  EXPECT_TRUE(resource == FitResource(heap));
  EXPECT_FALSE(resource == FitResource(other));
  EXPECT_FALSE(resource == PmrResource(arena));
}

TEST(ScratchResource, LeavesNothing) {
  auto results = scratch();
  std::size_t used = 0;
  const Arena* lent = nullptr;
  for (int round = 0; round < 3; ++round) {
    ScratchResource resource({&results.arena()});
    EXPECT_FALSE(resource.arena().same_arena(results.arena()));
    if (lent == nullptr) used = resource.arena().used_bytes();
    EXPECT_EQ(resource.arena().used_bytes(), used);
    lent = &resource.arena();
    std::pmr::vector<int> numbers(&resource);
    for (int i = 0; i < 10'000; ++i) numbers.push_back(i);
    EXPECT_EQ(numbers[9999], 9999);
    EXPECT_TRUE(lent->contains(numbers.data()));
  }
}

TEST(ArenaAllocator, CarriesAVectorAndAMap) {
  Arena arena = Arena::chained();
  {
    std::vector<int, ArenaAllocator<int>> numbers(arena);
    using Pair = std::pair<const int, int>;
    std::unordered_map<int, int, std::hash<int>, std::equal_to<>, ArenaAllocator<Pair>> map(arena);
    for (int i = 0; i < 10'000; ++i) {
      numbers.push_back(i);
      map[i] = -i;
    }
    EXPECT_EQ(map.at(77), -numbers[77]);
    EXPECT_TRUE(arena.contains(numbers.data()));
    EXPECT_TRUE(arena.contains(&map.at(77)));
    const auto copy = numbers;
    EXPECT_EQ(copy.get_allocator(), numbers.get_allocator());
  }
  ArenaAllocator<long> allocator(arena);
  EXPECT_THROW((void)allocator.allocate(std::numeric_limits<std::size_t>::max() / 4),
               std::bad_array_new_length);
}

}  // namespace
}  // namespace allot
