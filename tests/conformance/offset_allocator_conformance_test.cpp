// Containers in a region's arena: made by one session, read by another at another address.

#include <cstdint>
#include <forward_list>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <boost/container/map.hpp>
#include <boost/container/string.hpp>
#include <boost/container/vector.hpp>

#include <allot/offset_allocator.hpp>
#include <allot/shared_arena.hpp>

#include "tests/support/conformance.hpp"

namespace allot {
namespace {

namespace bc = boost::container;

using Text = bc::basic_string<char, std::char_traits<char>, OffsetAllocator<char>>;
using Numbers = bc::vector<int, OffsetAllocator<int>>;
using Entry = std::pair<const int, Text>;
using Index = bc::map<int, Text, std::less<>, OffsetAllocator<Entry>>;

static_assert(kHoldsOffsetPointers<Index> && kHoldsOffsetPointers<Text>);
static_assert(
    !kHoldsOffsetPointers<std::unordered_map<int, int, std::hash<int>, std::equal_to<>,
                                             OffsetAllocator<std::pair<const int, int>>>>);
static_assert(!kHoldsOffsetPointers<std::forward_list<int, OffsetAllocator<int>>>);
static_assert(!kHoldsOffsetPointers<std::vector<int>>);
static_assert(!kHoldsOffsetPointers<std::vector<bool, OffsetAllocator<bool>>>);
static_assert(!kHoldsOffsetPointers<std::vector<int*, OffsetAllocator<int*>>>);
static_assert(!kHoldsOffsetPointers<std::vector<std::string, OffsetAllocator<std::string>>>);
static_assert(kHoldsOffsetPointers<std::vector<Text, OffsetAllocator<Text>>>);
static_assert(sizeof(OffsetAllocator<int>) == 8);

class OffsetContainers : public test::Conformance {};
ALLOT_CONFORMANCE_SUITE(OffsetContainers);

struct Root {
  std::uint64_t numbers;
  std::uint64_t index;
};

TEST_P(OffsetContainers, AreReadAtAnotherAddress) {
  SharedArena mine = SharedArena::create(session(), "a", {std::uint64_t{4} << 20, 1 << 20}).value();
  Root root{};
  {
    OffsetArena lent(mine);
    auto* const numbers = lent.make<Numbers>(lent.allocator<int>());
    for (int i = 0; i < 10'000; ++i) numbers->push_back(i);
    auto* const index = lent.make<Index>(std::less<>(), lent.allocator<Entry>());
    for (int i = 0; i < 1000; ++i) {
      index->emplace(i * 7 % 1000, Text(("a text that is not short: " + std::to_string(i)).c_str(),
                                        lent.allocator<char>()));
    }
    root = {mine.offset_of(numbers), mine.offset_of(index)};
  }
  SharedArena theirs = SharedArena::attach(add_session(), "a", ShareAccess::kReadOnly).value();
  const auto* const numbers = static_cast<const Numbers*>(theirs.at(root.numbers, sizeof(Numbers)));
  const auto* const index = static_cast<const Index*>(theirs.at(root.index, sizeof(Index)));
  ASSERT_NE(numbers, nullptr);
  ASSERT_NE(index, nullptr);
  EXPECT_NE(static_cast<const void*>(numbers), mine.at(root.numbers)) << "mapped twice";
  ASSERT_EQ(numbers->size(), 10'000U);
  for (int i = 0; i < 10'000; ++i) ASSERT_EQ((*numbers)[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(theirs.contains(numbers->data())) << "in the second mapping, not in the first";
  ASSERT_EQ(index->size(), 1000U);
  int key = 0;
  for (const auto& [number, text] : *index) {
    ASSERT_EQ(number, key++);
    ASSERT_TRUE(theirs.contains(text.data()));
  }
  EXPECT_EQ(index->at(7), "a text that is not short: 1");
  EXPECT_TRUE(mine.unpublish("a").has_value());
}

TEST_P(OffsetContainers, AllocateOnlyWhileTheArenaIsLent) {
  SharedArena arena = SharedArena::create(session(), "a", {1 << 20, 1 << 16}).value();
  auto lent = std::make_unique<OffsetArena>(arena);
  auto* const numbers = lent->make<Numbers>(lent->allocator<int>());
  numbers->push_back(1);
  EXPECT_THROW(numbers->reserve(std::size_t{1} << 20), std::bad_alloc) << "no room";
  EXPECT_THROW(numbers->reserve(std::size_t{1} << 62), std::exception);
  std::thread([&] { EXPECT_THROW(numbers->reserve(100), std::bad_alloc); }).join();
  lent.reset();
  EXPECT_THROW(numbers->reserve(1000), std::bad_alloc) << "not lent";
  ASSERT_EQ(numbers->size(), 1U);
  EXPECT_EQ(numbers->front(), 1);
  EXPECT_TRUE(arena.unpublish("a").has_value());
}

TEST_P(OffsetContainers, LiveInAnExclusiveArenaOfTheRegionToo) {
  Arena arena = Arena::chained({.source = session()});
  {
    OffsetArena lent(arena);
    auto* const numbers = lent.make<Numbers>(lent.allocator<int>());
    for (int i = 0; i < 100'000; ++i) numbers->push_back(i);
    EXPECT_EQ(numbers->back(), 99'999);
    EXPECT_TRUE(arena.contains(numbers->data()));
  }
  EXPECT_EQ(arena.release(), Errc::kOk);
}

TEST_P(OffsetContainers, AtMost64ArenasAreLent) {
  Arena arena = Arena::chained();
  std::vector<std::unique_ptr<OffsetArena>> all;
  while (all.empty() || all.back()->key() != 0) all.push_back(std::make_unique<OffsetArena>(arena));
  EXPECT_EQ(all.size(), 65U);
  auto beyond = all.back()->allocator<int>();
  EXPECT_THROW((void)beyond.allocate(1), std::bad_alloc);
  all.clear();
  EXPECT_NE(OffsetArena(arena).key(), 0U);
}

}  // namespace
}  // namespace allot
