// A FitHeap over a buffer: sizes, alignments, choice, coalescing, misuse.

#include <allot/fit_heap.hpp>

#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/fit_heap_on_a_buffer.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/refused_syscall.hpp"

namespace allot {
namespace {

constexpr std::size_t kKiB = std::size_t{1} << 10;
constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kMax = ~std::size_t{0};

std::uintptr_t address_of(const void* block) { return reinterpret_cast<std::uintptr_t>(block); }

using test::FitHeapOnABuffer;

TEST_F(FitHeapOnABuffer, RoundsSizesUpToUnits) {
  for (const std::size_t size : {0UL, 1UL, 15UL, 16UL}) EXPECT_EQ(heap().size_of(get(size)), 16U);
  EXPECT_EQ(heap().size_of(get(17)), 32U);
  EXPECT_EQ(heap().live_bytes(), 4U * 16 + 32);
  EXPECT_EQ(heap().block_count(), 5U);
}

TEST_F(FitHeapOnABuffer, GivesEachBlockOfSizeZeroAnAddress) {
  std::byte* const one = get(0);
  EXPECT_NE(one, nullptr);
  EXPECT_NE(get(0), one);
}

TEST_F(FitHeapOnABuffer, RefusesSizesThatNoMemoryHas) {
  for (const std::size_t size :
       {kMax, kMax - 1, kMax - 15, kMax - 16, kMax / 2 + 1, (std::size_t{1} << 47) + 1}) {
    EXPECT_EQ(get(size), nullptr);
    EXPECT_EQ(FitHeap::last_error(), Errc::kSizeTooLarge);
    EXPECT_EQ(get(size, 4096), nullptr);
  }
  for (const std::size_t size : {std::size_t{1} << 47, kBytes + 1, kBytes + 16}) {
    EXPECT_EQ(get(size), nullptr);
    EXPECT_EQ(FitHeap::last_error(), Errc::kArenaFull);
  }
  expect_whole();
}

TEST_F(FitHeapOnABuffer, FindsTheOneAlignedPlaceBehindManyOthers) {
  const auto blocks = fill<2048>();
  for (std::size_t i = 1; i < 400; i += 2) heap().free(blocks.at(i));
  heap().free(blocks[1000]);
  EXPECT_EQ(get(32, 64), blocks[1000]) << "there is no longer one";
  EXPECT_EQ(get(32, 64), nullptr);
}

TEST_F(FitHeapOnABuffer, AlignsToPowersOfTwoOnly) {
  for (const std::size_t alignment : {0UL, 3UL, 24UL, 4095UL, kMax, std::size_t{1} << 48}) {
    EXPECT_EQ(get(16, alignment), nullptr) << alignment;
    EXPECT_EQ(FitHeap::last_error(), Errc::kBadAlignment);
  }
  for (const std::size_t alignment : {1UL, 2UL, 8UL, 16UL, 32UL, 256UL, 4096UL}) {
    std::byte* const block = get(24, alignment);
    EXPECT_EQ(address_of(block) % std::max<std::size_t>(alignment, 16), 0U) << alignment;
    EXPECT_TRUE(heap().check());
  }
  EXPECT_EQ(get(16, std::size_t{1} << 40), nullptr);
  EXPECT_EQ(FitHeap::last_error(), Errc::kArenaFull);
}

TEST_F(FitHeapOnABuffer, LeavesWhatLiesBeforeAnAlignedBlockFree) {
  EXPECT_EQ(get(16), base());
  std::byte* const aligned = get(100, 4096);
  EXPECT_EQ(aligned, base() + 4096);
  EXPECT_EQ(get(4096 - 16), base() + 16);
  EXPECT_EQ(heap().free(aligned), Errc::kOk);
}

TEST_F(FitHeapOnABuffer, TakesALongerExtentWhereManyMissTheAlignment) {
  // More extents than are looked at, none of which holds a multiple of 64; then one that does.
  std::vector<void*> holes;
  for (int i = 0; i < 100; ++i) {
    ASSERT_NE(get(16, 64), nullptr);
    holes.push_back(get(16));
    ASSERT_NE(get(32), nullptr);
  }
  for (void* const hole : holes) ASSERT_EQ(heap().free(hole), Errc::kOk);
  std::byte* const block = get(16, 64);
  EXPECT_EQ(address_of(block) % 64, 0U);
  EXPECT_GT(block, base() + std::ptrdiff_t{99} * 64);
}

TEST_F(FitHeapOnABuffer, FindsTheOneThatFitsAmongManyThatDoNot) {
  // One hole at a multiple of 64 and too short for any other place, above more than are looked at.
  std::vector<void*> holes;
  for (int i = 0; i < 100; ++i) {
    ASSERT_NE(get(16, 64), nullptr);
    holes.push_back(get(48));
  }
  std::byte* const aligned = get(48, 64);
  ASSERT_NE(aligned, nullptr);
  ASSERT_NE(get(16), nullptr);
  while (get(1000) != nullptr) {
  }
  while (get(16) != nullptr) {
  }
  for (void* const hole : holes) ASSERT_EQ(heap().free(hole), Errc::kOk);
  ASSERT_EQ(heap().free(aligned), Errc::kOk);
  EXPECT_EQ(get(48, 64), aligned);
}

TEST_F(FitHeapOnABuffer, IsFullToTheLastUnit) {
  std::byte* const all = get(kBytes);
  EXPECT_EQ(all, base());
  EXPECT_EQ(heap().largest_free_bytes(), 0U);
  EXPECT_EQ(get(0), nullptr);
  EXPECT_EQ(FitHeap::last_error(), Errc::kArenaFull);
  EXPECT_EQ(heap().free(all), Errc::kOk);
  expect_whole();
  EXPECT_EQ(get(kBytes - 16), base());
  EXPECT_EQ(get(16), base() + kBytes - 16);
  EXPECT_EQ(get(1), nullptr);
}

TEST_F(FitHeapOnABuffer, TakesTheSmallestThatServesAndTheLowestOfEquals) {
  const std::array<std::size_t, 5> holes = {512, 256, 1024, 256, 128};
  std::vector<std::byte*> blocks;
  for (const std::size_t hole : holes) {
    blocks.push_back(get(hole));
    ASSERT_NE(get(16), nullptr);
  }
  for (std::byte* const block : blocks) ASSERT_EQ(heap().free(block), Errc::kOk);
  EXPECT_EQ(get(256), blocks[1]);
  EXPECT_EQ(get(200), blocks[3]);
  EXPECT_EQ(get(200), blocks[0]);
  EXPECT_EQ(get(512), blocks[2]);
}

TEST_F(FitHeapOnABuffer, OrdersLargeExtentsToo) {
  auto buffer = std::make_unique<std::byte[]>(4 * kMiB);
  FitHeap large = FitHeap::over(std::span(buffer.get(), 4 * kMiB));
  void* const one = large.allocate(300 * kKiB);
  ASSERT_NE(large.allocate(16), nullptr);
  void* const two = large.allocate(100 * kKiB);
  ASSERT_NE(large.allocate(16), nullptr);
  void* const three = large.allocate(200 * kKiB);
  ASSERT_NE(large.allocate(16), nullptr);
  for (void* const block : {two, one, three}) ASSERT_EQ(large.free(block), Errc::kOk);
  EXPECT_TRUE(large.check());
  EXPECT_EQ(large.allocate(150 * kKiB), three);
  EXPECT_EQ(large.allocate(250 * kKiB), one);
  EXPECT_EQ(large.allocate(90 * kKiB), two);
}

TEST_F(FitHeapOnABuffer, JoinsWithNoNeighbourOneOrBoth) {
  auto blocks = fill<8>();
  EXPECT_EQ(heap().free(blocks[4]), Errc::kOk);  // neither is free
  EXPECT_EQ(heap().largest_free_bytes(), kBytes / 8);
  EXPECT_EQ(heap().free(blocks[5]), Errc::kOk);  // the one below
  EXPECT_EQ(heap().largest_free_bytes(), kBytes / 8 * 2);
  EXPECT_EQ(heap().free(blocks[2]), Errc::kOk);
  EXPECT_EQ(heap().free(blocks[1]), Errc::kOk);  // the one above
  EXPECT_TRUE(heap().check());
  EXPECT_EQ(heap().free(blocks[3]), Errc::kOk);  // both
  EXPECT_TRUE(heap().check());
  EXPECT_EQ(heap().largest_free_bytes(), kBytes / 8 * 5);
  for (const std::size_t last : {0UL, 7UL, 6UL}) EXPECT_EQ(heap().free(blocks[last]), Errc::kOk);
  expect_whole();
}

TEST_F(FitHeapOnABuffer, RefusesWhatIsNoBlockAndStaysAsItWas) {
  std::byte* const block = get(100);
  std::byte* const gone = get(100);
  ASSERT_NE(get(16), nullptr);
  ASSERT_EQ(heap().free(gone), Errc::kOk);
  int other = 0;
  const auto refused = [&](void* address, Errc why) {
    EXPECT_EQ(heap().free(address), why);
    EXPECT_EQ(FitHeap::last_error(), why);
    EXPECT_EQ(heap().size_of(address), 0U);
    EXPECT_EQ(heap().reallocate(address, 10), nullptr);
    EXPECT_EQ(heap().block_count(), 2U);
    EXPECT_EQ(heap().live_bytes(), 128U);
    EXPECT_TRUE(heap().check());
  };
  refused(&other, Errc::kNotABlock);
  refused(base() + kBytes, Errc::kNotABlock);
  refused(block + 1, Errc::kInteriorPointer);
  refused(block + 16, Errc::kInteriorPointer);
  refused(gone, Errc::kDoubleFree);
  refused(gone + 8, Errc::kDoubleFree);
  EXPECT_EQ(heap().free(nullptr), Errc::kOk);
  EXPECT_EQ(heap().free(block), Errc::kOk);
  EXPECT_EQ(heap().free(block), Errc::kDoubleFree);
}

TEST_F(FitHeapOnABuffer, StaysSoundWhateverIsWrittenToItsMemory) {
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 100; ++i) blocks.push_back(get(i * 8));
  for (std::size_t i = 0; i < 100; i += 3) ASSERT_EQ(heap().free(blocks[i]), Errc::kOk);
  std::memset(base(), 0xFF, kBytes);
  EXPECT_TRUE(heap().check());
  for (std::size_t i = 0; i < 100; ++i) {
    ASSERT_EQ(heap().free(blocks[i]), i % 3 != 0 ? Errc::kOk : Errc::kDoubleFree) << i;
  }
  expect_whole();
  EXPECT_EQ(std::count(base(), base() + kBytes, std::byte{0xFF}), kBytes) << "it writes nothing";
}

TEST_F(FitHeapOnABuffer, ClearFreesAllAtOnce) {
  for (std::size_t i = 0; i < 200; ++i) ASSERT_NE(get(i), nullptr);
  EXPECT_EQ(heap().clear(), Errc::kOk);
  expect_whole();
  EXPECT_EQ(get(kBytes), base());
}

TEST_F(FitHeapOnABuffer, MovesWithItsBlocks) {
  std::byte* const block = get(100);
  FitHeap moved = std::move(heap());
  EXPECT_FALSE(heap());  // NOLINT(bugprone-use-after-move): what is left of it
  EXPECT_EQ(heap().allocate(1), nullptr);
  EXPECT_EQ(FitHeap::last_error(), Errc::kClosed);
  EXPECT_EQ(heap().free(block), Errc::kClosed);
  EXPECT_EQ(heap().clear(), Errc::kClosed);
  EXPECT_EQ(heap().managed_bytes(), 0U);
  EXPECT_EQ(moved.size_of(block), 112U);
  heap() = std::move(moved);
  EXPECT_EQ(heap().free(block), Errc::kOk);
}

TEST(FitHeap, UsesWholeUnitsOfABufferOnly) {
  alignas(16) std::array<std::byte, 64> bytes{};
  FitHeap heap = FitHeap::over(std::span(bytes).subspan(1, 50));
  EXPECT_EQ(heap.managed_bytes(), 32U);
  EXPECT_EQ(heap.allocate(32), bytes.data() + 16);
  for (const std::size_t size : {0UL, 1UL, 15UL, 30UL}) {
    EXPECT_FALSE(FitHeap::over(std::span(bytes).subspan(1, size))) << size;
    EXPECT_EQ(FitHeap::last_error(), Errc::kBadArgument);
  }
}

TEST(FitHeap, WithoutMemoryForItsBookkeepingChangesNothing) {
  const test::Ending ending = test::run_in_child([] {
    auto buffer = std::make_unique<std::byte[]>(4 * kMiB);
    FitHeap heap = FitHeap::over(std::span(buffer.get(), 4 * kMiB));
    if (!test::refuse_syscall(SYS_mprotect, ENOMEM)) return test::kSkipped;
    std::vector<void*> blocks(200'000);
    std::size_t count = 0;
    while ((blocks[count] = heap.allocate(16)) != nullptr) ++count;
    if (FitHeap::last_error() != Errc::kMachineFull || !heap.check()) return 1;
    if (heap.reallocate(blocks[0], 100) != nullptr || !heap.check()) return 2;
    for (std::size_t i = 0; i < count; ++i) {
      if (heap.free(blocks[i]) != Errc::kOk) return 3;
    }
    if (FitHeap::over(std::span(buffer.get(), 4 * kMiB))) return 4;
    return heap.check() && heap.largest_free_bytes() >= 4 * kMiB - 16 ? 0 : 5;
  });
  if (ending == test::exited(test::kSkipped)) GTEST_SKIP() << "no seccomp filters here";
  EXPECT_EQ(ending, test::exited(0));
}

}  // namespace
}  // namespace allot
