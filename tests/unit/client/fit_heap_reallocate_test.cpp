// FitHeap::reallocate(): in place, shrunk, moved, refused.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include <gtest/gtest.h>

#include <allot/fit_heap.hpp>

#include "tests/support/fit_heap_on_a_buffer.hpp"

namespace allot {
namespace {

using test::FitHeapOnABuffer;

constexpr std::size_t kMax = ~std::size_t{0};

TEST_F(FitHeapOnABuffer, ReallocatesInPlaceWhereTheNeighbourAboveIsFree) {
  auto blocks = fill<8>();
  std::memset(blocks[2], 7, kBytes / 8);
  ASSERT_EQ(heap().free(blocks[3]), Errc::kOk);
  EXPECT_EQ(heap().reallocate(blocks[2], kBytes / 8 + 1000), blocks[2]);
  EXPECT_EQ(heap().size_of(blocks[2]), kBytes / 8 + 1008);
  EXPECT_EQ(heap().largest_free_bytes(), kBytes / 8 - 1008);
  EXPECT_TRUE(heap().check());
  EXPECT_EQ(heap().reallocate(blocks[2], kBytes / 4), blocks[2]) << "to the last unit";
  EXPECT_EQ(heap().free_bytes(), 0U);
  EXPECT_TRUE(heap().check());
  EXPECT_EQ(std::count(blocks[2], blocks[2] + kBytes / 8, std::byte{7}), kBytes / 8);
}

TEST_F(FitHeapOnABuffer, ReallocateMovesWhereTheNeighbourIsLiveOrTooShort) {
  std::byte* const one = get(160);
  std::byte* const two = get(160);
  ASSERT_NE(get(16), nullptr);
  std::memset(one, 1, 160);
  std::memset(two, 2, 160);
  auto* const moved = static_cast<std::byte*>(heap().reallocate(one, 320));
  ASSERT_NE(moved, one);
  EXPECT_EQ(std::count(moved, moved + 160, std::byte{1}), 160);
  EXPECT_EQ(std::count(two, two + 160, std::byte{2}), 160);
  EXPECT_EQ(heap().size_of(one), 0U);
  auto* const again = static_cast<std::byte*>(heap().reallocate(two, 4000));
  EXPECT_EQ(std::count(again, again + 160, std::byte{2}), 160);
  EXPECT_EQ(get(320), base()) << "what they left is one piece";
}

TEST_F(FitHeapOnABuffer, ReallocateShrinksInPlaceAndGivesTheTailBack) {
  std::byte* const block = get(1000);
  std::byte* const next = get(16);
  EXPECT_EQ(heap().reallocate(block, 992), block);
  EXPECT_EQ(heap().size_of(block), 992U);
  EXPECT_EQ(heap().reallocate(block, 100), block);
  EXPECT_EQ(heap().size_of(block), 112U);
  EXPECT_EQ(get(896), block + 112);
  ASSERT_EQ(heap().free(next), Errc::kOk);
  EXPECT_EQ(heap().reallocate(block, 0), block)
      << "its tail joins what is free above: nothing here";
  EXPECT_EQ(heap().size_of(block), 16U);
}

TEST_F(FitHeapOnABuffer, ReallocateKeepsTheBlockWhereItFails) {
  auto blocks = fill<2>();
  std::memset(blocks[0], 3, kBytes / 2);
  EXPECT_EQ(heap().reallocate(blocks[0], kBytes / 2 + 1), nullptr);
  EXPECT_EQ(FitHeap::last_error(), Errc::kArenaFull);
  EXPECT_EQ(heap().reallocate(blocks[0], kMax), nullptr);
  EXPECT_EQ(FitHeap::last_error(), Errc::kSizeTooLarge);
  EXPECT_EQ(heap().reallocate(blocks[0], 16, 3), nullptr);
  EXPECT_EQ(FitHeap::last_error(), Errc::kBadAlignment);
  EXPECT_EQ(heap().reallocate(blocks[0] + 16, 16), nullptr);
  EXPECT_EQ(FitHeap::last_error(), Errc::kInteriorPointer);
  EXPECT_EQ(heap().size_of(blocks[0]), kBytes / 2);
  EXPECT_EQ(std::count(blocks[0], blocks[0] + kBytes / 2, std::byte{3}), kBytes / 2);
}

TEST_F(FitHeapOnABuffer, ReallocateAlignsAnewAndAllocatesForNull) {
  auto* const block = static_cast<std::byte*>(heap().reallocate(nullptr, 100));
  EXPECT_EQ(block, base());
  std::byte* const two = get(16);
  ASSERT_NE(two, nullptr);
  std::memset(two, 9, 16);
  void* const aligned = heap().reallocate(two, 16, 1024);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(aligned) % 1024, 0U);
  EXPECT_EQ(std::count(static_cast<std::byte*>(aligned), static_cast<std::byte*>(aligned) + 16,
                       std::byte{9}),
            16);
  EXPECT_EQ(heap().free(aligned), Errc::kOk);
}

}  // namespace
}  // namespace allot
