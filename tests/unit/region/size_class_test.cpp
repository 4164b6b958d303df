#include "shared/region/size_class.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

namespace allot::region {
namespace {

std::uint32_t span_bytes(const SizeClass& one) {
  return one.span_granules * static_cast<std::uint32_t>(kGranuleBytes);
}

// Where the blocks of a span begin, cell by cell, without the functions under test.
std::vector<std::uint32_t> block_starts(const SizeClass& one) {
  std::vector<std::uint32_t> starts;
  for (std::uint32_t cell = 0; cell < span_bytes(one); cell += one.cell_bytes) {
    for (std::uint32_t in_cell = 0; in_cell + one.block_bytes <= one.cell_bytes;
         in_cell += one.block_bytes) {
      starts.push_back(cell + in_cell);
    }
  }
  return starts;
}

TEST(SizeClass, EverySizeMapsToTheSmallestClassThatHoldsIt) {
  for (std::uint64_t size = 1; size <= kMaxMediumBytes; ++size) {
    std::uint32_t wanted = 0;
    while (kSizeClasses.at(wanted).block_bytes < size) ++wanted;
    ASSERT_EQ(bin_of(size), wanted) << size;
  }
}

TEST(SizeClass, EachBoundaryIsTheLastSizeOfItsClass) {
  for (std::uint32_t bin = 0; bin < kClassCount; ++bin) {
    const std::uint32_t bytes = kSizeClasses.at(bin).block_bytes;
    EXPECT_EQ(bin_of(bytes), bin);
    EXPECT_EQ(bin_of(bytes + 1), bin + 1) << bytes;
    EXPECT_EQ(bin_of(bytes - 15), bin) << bytes;
  }
}

TEST(SizeClass, SizesAboveTheLastClassAreLarge) {
  for (const std::uint64_t size :
       {std::uint64_t{kMaxMediumBytes} + 1, std::uint64_t{1} << 20, (std::uint64_t{1} << 32) + 1,
        std::uint64_t{1} << 40, std::uint64_t{1} << 63}) {
    EXPECT_EQ(bin_of(size), kLargeBin) << size;
  }
}

TEST(SizeClass, ClassesAscendFromSixteenBytes) {
  EXPECT_EQ(kSizeClasses.front().block_bytes, kMinBlockBytes);
  EXPECT_EQ(kSizeClasses.back().block_bytes, kMaxMediumBytes);
  EXPECT_TRUE(std::is_sorted(
      kSizeClasses.begin(), kSizeClasses.end(),
      [](const SizeClass& a, const SizeClass& b) { return a.block_bytes < b.block_bytes; }));
  EXPECT_EQ(std::adjacent_find(kSizeClasses.begin(), kSizeClasses.end(),
                               [](const SizeClass& a, const SizeClass& b) {
                                 return a.block_bytes >= b.block_bytes;
                               }),
            kSizeClasses.end());
}

TEST(SizeClass, PowersOfTwoHaveAClassOfTheirOwn) {
  for (std::uint32_t size = kMinBlockBytes; size <= kMaxMediumBytes; size *= 2) {
    EXPECT_EQ(kSizeClasses.at(bin_of(size)).block_bytes, size);
  }
}

TEST(SizeClass, ASpanHoldsAtLeastSixteenBlocksAndHasAWordForEach) {
  for (const SizeClass& one : kSizeClasses) {
    EXPECT_GE(one.block_count, 16U) << one.block_bytes;
    EXPECT_LE(one.block_count, one.span_granules * kWordsPerGranule) << one.block_bytes;
    EXPECT_EQ(one.block_count, block_starts(one).size()) << one.block_bytes;
  }
}

TEST(SizeClass, IndexAndOffsetAreInverseAndInteriorOffsetsAreRefused) {
  for (const SizeClass& one : kSizeClasses) {
    const std::vector<std::uint32_t> starts = block_starts(one);
    std::uint32_t next = 0;
    for (std::uint32_t offset = 0; offset < span_bytes(one); ++offset) {
      if (next < starts.size() && offset == starts[next]) {
        ASSERT_EQ(block_index(one, offset), next) << one.block_bytes;
        ASSERT_EQ(block_offset(one, next), offset) << one.block_bytes;
        ++next;
      } else {
        ASSERT_EQ(block_index(one, offset), kNotABlockStart) << one.block_bytes << '+' << offset;
      }
    }
    ASSERT_EQ(next, one.block_count);
  }
}

TEST(SizeClass, BlocksNeitherOverlapNorLeaveTheirSpan) {
  for (const SizeClass& one : kSizeClasses) {
    std::uint32_t end = 0;
    for (std::uint32_t index = 0; index < one.block_count; ++index) {
      ASSERT_GE(block_offset(one, index), end) << one.block_bytes;
      end = block_offset(one, index) + one.block_bytes;
    }
    EXPECT_LE(end, span_bytes(one)) << one.block_bytes;
  }
}

TEST(SizeClass, NoSmallBlockCrossesACell) {
  for (const SizeClass& one : kSizeClasses) {
    if (one.block_bytes > kMaxSmallBytes) continue;
    for (std::uint32_t index = 0; index < one.block_count; ++index) {
      const std::uint32_t first = block_offset(one, index);
      ASSERT_EQ(first / 4096, (first + one.block_bytes - 1) / 4096) << one.block_bytes;
    }
  }
}

TEST(SizeClass, EveryBlockHasTheNaturalAlignmentOfItsClass) {
  for (const SizeClass& one : kSizeClasses) {
    const std::uint32_t alignment = natural_alignment(one);
    EXPECT_TRUE(std::has_single_bit(alignment));
    EXPECT_GE(alignment, kMinBlockBytes);
    EXPECT_EQ(one.block_bytes % alignment, 0U);
    EXPECT_NE(one.block_bytes % (2 * alignment), 0U) << "not the largest: " << one.block_bytes;
    for (std::uint32_t index = 0; index < one.block_count; ++index) {
      ASSERT_EQ(block_offset(one, index) % alignment, 0U) << one.block_bytes;
    }
  }
}

// Bytes of a class that serve nobody: by rounding a size up, and at the end of each cell.
TEST(SizeClass, WasteIsBounded) {
  struct Row {
    std::uint32_t up_to_bytes;  // sizes in (previous row, this] ...
    double rounding;            // ... lose at most this part of their block
    double tail;                // and their class this part of its spans
  };
  constexpr Row kTable[] = {
      {128, 0.47, 0.02},    // 17 bytes in 32; 80 and 112 leave 16 of 4096
      {256, 0.12, 0.04},    // 144 in 4096
      {1024, 0.203, 0.04},  // 817 in 1024
      {32 * 1024, 0.1112, 0.02}, {64 * 1024, 0.1112, 0.04},  // 52 KiB leaves 36 KiB of a MiB
  };
  std::uint32_t size = 1;
  for (const Row& row : kTable) {
    for (size = std::max(size, 17U); size <= row.up_to_bytes; ++size) {
      const SizeClass& one = kSizeClasses.at(bin_of(size));
      const double rounding = static_cast<double>(one.block_bytes - size) / one.block_bytes;
      const std::uint32_t tail = span_bytes(one) - one.block_count * one.block_bytes;
      ASSERT_LE(rounding, row.rounding) << size << " in " << one.block_bytes;
      ASSERT_LE(static_cast<double>(tail) / span_bytes(one), row.tail) << one.block_bytes;
    }
  }
}

}  // namespace
}  // namespace allot::region
