// A FitHeap over every kind of arena on every source, and what the arena refuses meanwhile.

#include <allot/fit_heap.hpp>
#include <allot/temp.hpp>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/arena_kinds.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

constexpr std::size_t kKiB = std::size_t{1} << 10;

FitHeapOptions small_steps() { return {4 * kKiB, 32 * kKiB}; }

class FitHeapOnAnArena : public test::ArenaKinds {};

TEST_P(FitHeapOnAnArena, GrowsUntilTheArenaIsFull) {
  FitHeap heap = FitHeap::over(arena(), small_steps());
  ASSERT_TRUE(heap);
  EXPECT_EQ(heap.managed_bytes(), 0U);
  std::map<std::byte*, std::byte> blocks;
  for (unsigned i = 0; i < 400; ++i) {
    auto* const block = static_cast<std::byte*>(heap.allocate(5000));
    if (block == nullptr) break;
    ASSERT_TRUE(arena().contains(block));
    std::memset(block, static_cast<int>(i), 5000);
    blocks.emplace(block, static_cast<std::byte>(i));
  }
  EXPECT_TRUE(heap.check());
  if (!chains()) {
    EXPECT_EQ(FitHeap::last_error(), Errc::kArenaFull);
    EXPECT_GT(blocks.size() * 5008, test::ArenaUnderTest::kCapacityBytes - 5008);
  } else {
    EXPECT_EQ(blocks.size(), 400U);
  }
  const std::byte* end = nullptr;
  for (const auto& [block, value] : blocks) {
    EXPECT_GE(block, end);
    end = block + 5000;
    ASSERT_EQ(std::count(block, block + 5000, value), 5000);
  }
  for (const auto& [block, value] : blocks) ASSERT_EQ(heap.free(block), Errc::kOk);
  EXPECT_TRUE(heap.check());
  EXPECT_EQ(heap.free_bytes(), heap.managed_bytes());
  heap.release();
  EXPECT_EQ(arena().used_bytes(), 0U);
}

TEST_P(FitHeapOnAnArena, GrowsInOnePieceWhereTheArenaDoes) {
  if (chains()) return;
  FitHeap heap = FitHeap::over(arena(), small_steps());
  void* const first = heap.allocate(100);
  ASSERT_NE(heap.allocate(10'000), nullptr);
  ASSERT_NE(heap.allocate(100'000), nullptr);
  EXPECT_EQ(heap.clear(), Errc::kOk);
  EXPECT_EQ(heap.largest_free_bytes(), heap.managed_bytes());
  EXPECT_TRUE(heap.check());
  // A block on top grows with the arena, to its end.
  void* const block = heap.allocate(100);
  EXPECT_EQ(block, first);
  for (std::size_t size = 1000; size < 900 * kKiB; size += size / 2) {
    ASSERT_EQ(heap.reallocate(block, size), block) << size;
    ASSERT_TRUE(heap.check());
  }
  EXPECT_EQ(heap.reallocate(block, 2048 * kKiB), nullptr);
  EXPECT_EQ(heap.reallocate(block, 16), block);
  EXPECT_EQ(heap.allocate(800 * kKiB), static_cast<std::byte*>(block) + 16);
}

TEST_P(FitHeapOnAnArena, AlignsInWhatItTakes) {
  FitHeap heap = FitHeap::over(arena(), small_steps());
  for (const std::size_t alignment : {64UL, 4096UL, 64 * kKiB, 256 * kKiB}) {
    void* const block = heap.allocate(100, alignment);
    ASSERT_NE(block, nullptr) << alignment;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0U);
    EXPECT_TRUE(heap.check());
  }
  void* const wide = heap.allocate(100, std::size_t{2} << 20);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(wide) % (2048 * kKiB), 0U);
  EXPECT_TRUE(wide != nullptr || !chains());
  EXPECT_TRUE(heap.check());
}

TEST_P(FitHeapOnAnArena, IsAChildOfItsArena) {
  const ArenaMark before = arena().pos();
  FitHeap heap = FitHeap::over(arena(), small_steps());
  ASSERT_NE(heap.allocate(100), nullptr);
  // Others may push meanwhile; then the next growth is a piece of its own.
  void* const between = arena().push(100);
  ASSERT_NE(between, nullptr);
  ASSERT_NE(heap.allocate(30'000), nullptr);
  EXPECT_TRUE(heap.check());
  EXPECT_EQ(arena().pop_to(before), Errc::kScopeOpen);
  EXPECT_EQ(arena().clear(), Errc::kScopeOpen);
  heap.release();
  EXPECT_EQ(arena().pop_to(before), Errc::kOk);
}

TEST_P(FitHeapOnAnArena, DoesNotGrowInAYoungerScope) {
  FitHeap heap = FitHeap::over(arena(), small_steps());
  void* const block = heap.allocate(100);
  ASSERT_NE(block, nullptr);
  const std::size_t used = arena().used_bytes();
  {
    const Temp temp(arena());
    ASSERT_NE(arena().push(100), nullptr);
    EXPECT_EQ(heap.allocate(10'000), nullptr);
    EXPECT_EQ(FitHeap::last_error(), Errc::kScopeOpen);
    EXPECT_NE(heap.allocate(100), nullptr) << "there is room";
  }
  EXPECT_EQ(arena().used_bytes(), used);
  EXPECT_NE(heap.allocate(10'000), nullptr);
  EXPECT_TRUE(heap.check());
}

TEST_P(FitHeapOnAnArena, TakesNothingToSeeThatABlockMustMove) {
  FitHeap heap = FitHeap::over(arena(), small_steps());
  void* const hole = heap.allocate(24'000);
  void* const block = heap.allocate(12'000);
  ASSERT_NE(arena().push(16), nullptr);  // in the way
  ASSERT_EQ(heap.free(hole), Errc::kOk);
  const std::size_t managed = heap.managed_bytes();
  const std::size_t committed = arena().committed();
  EXPECT_EQ(heap.reallocate(block, 20'000), hole);
  EXPECT_EQ(heap.managed_bytes(), managed);
  EXPECT_EQ(arena().committed(), committed);
  EXPECT_TRUE(heap.check());
}

TEST_P(FitHeapOnAnArena, KeepsContentsOverRandomOperations) {
  const test::SeedRange range = test::seeds(3);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    FitHeap heap = FitHeap::over(arena(), small_steps());
    struct Block {
      std::byte* address;
      std::size_t size;
      std::byte value;
    };
    std::vector<Block> blocks;
    const auto expect_intact = [](const Block& block) {
      ASSERT_EQ(std::count(block.address, block.address + block.size, block.value),
                static_cast<std::ptrdiff_t>(block.size));
    };
    for (unsigned step = 0; step < 1500; ++step) {
      if (blocks.size() < 40 && random.percent(60)) {
        const std::size_t size = random.below(random.percent(90) ? 3000U : 40'000U);
        auto* const got = static_cast<std::byte*>(heap.allocate(size, 16UL << random.below(4U)));
        if (got == nullptr) continue;
        blocks.push_back({got, size, static_cast<std::byte>(step)});
        std::fill_n(got, size, blocks.back().value);
      } else if (!blocks.empty()) {
        Block& block = blocks[random.below(blocks.size())];
        expect_intact(block);
        if (random.percent(50)) {
          const std::size_t size = random.below(6000U);
          auto* const now = static_cast<std::byte*>(heap.reallocate(block.address, size));
          if (now == nullptr) continue;
          ASSERT_EQ(std::count(now, now + std::min(size, block.size), block.value),
                    static_cast<std::ptrdiff_t>(std::min(size, block.size)));
          block = {now, size, static_cast<std::byte>(step)};
          std::fill_n(now, size, block.value);
        } else {
          ASSERT_EQ(heap.free(block.address), Errc::kOk);
          block = blocks.back();
          blocks.pop_back();
        }
      }
      ASSERT_TRUE(heap.check());
      ASSERT_EQ(heap.block_count(), blocks.size());
    }
    for (const Block& block : blocks) expect_intact(block);
  }
}

ALLOT_ARENA_SUITE(FitHeapOnAnArena);

TEST(FitHeapOverAnArena, TakesTheLastBytesOfAFixedArena) {
  alignas(16) static std::byte bytes[64 * kKiB];
  Arena arena = Arena::fixed(std::span(bytes));
  FitHeap heap = FitHeap::over(arena, {48 * kKiB, 48 * kKiB});
  ASSERT_EQ(heap.allocate(20 * kKiB), bytes);
  EXPECT_EQ(heap.managed_bytes(), 48 * kKiB);
  // Fits if what is free on top and what the arena has left are joined.
  EXPECT_EQ(heap.allocate(44 * kKiB), bytes + 20 * kKiB);
  EXPECT_EQ(heap.managed_bytes(), 64 * kKiB);
  EXPECT_EQ(heap.allocate(16), nullptr);
  EXPECT_TRUE(heap.check());
}

TEST(FitHeapOverAnArena, HasRoomForTheTagsOfManyBlocks) {
  Arena arena = Arena::reserve();
  FitHeap heap = FitHeap::over(arena);
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 50'000; ++i) {
    blocks.push_back(heap.allocate(i % 100));
    ASSERT_NE(blocks.back(), nullptr) << i;
  }
  for (std::size_t i = 0; i < blocks.size(); i += 2) ASSERT_EQ(heap.free(blocks[i]), Errc::kOk);
  EXPECT_TRUE(heap.check());
  for (std::size_t i = 1; i < blocks.size(); i += 2) ASSERT_EQ(heap.free(blocks[i]), Errc::kOk);
  EXPECT_EQ(heap.largest_free_bytes(), heap.managed_bytes());
}

TEST(FitHeapOverAnArena, SaysWhyItCannotBe) {
  Arena none;
  EXPECT_FALSE(FitHeap::over(none));
  EXPECT_EQ(FitHeap::last_error(), Errc::kClosed);
  Arena arena = Arena::chained();
  EXPECT_FALSE(FitHeap::over(arena, {0, 0}));
  EXPECT_EQ(FitHeap::last_error(), Errc::kBadArgument);
}

}  // namespace
}  // namespace allot
