// Size classes: which block sizes exist, and how a span is cut into them.
//
// Pure functions and one constexpr table, used by both sides: by clients to allocate, by the
// daemon's audit and recovery to read a span. Bins 0 .. kClassCount-1 are the classes, kLargeBin
// stands for blocks that are whole spans, bins from kFirstPoolBin on are a session's pools, whose
// blocks have sizes of their own.
//
// Small blocks (to 1 KiB) lie in cells of 4 KiB and never cross one, hence never a page, on any
// page size. Medium blocks (to 64 KiB) are cut from the whole span. A block's offset in its span
// is a multiple of the largest power of two that divides its size.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <allot/detail/wide.hpp>

#include "shared/region/geometry.hpp"

namespace allot::region {

struct SizeClass {
  std::uint32_t block_bytes;
  std::uint32_t span_granules;  // length of a span of this class
  std::uint32_t cell_bytes;     // blocks are cut from cells; the whole span for medium classes
  std::uint32_t blocks_per_cell;
  std::uint32_t block_count;  // in a span
  std::uint64_t reciprocal;   // ceil(2^64 / block_bytes): see block_index()
};

inline constexpr std::uint32_t kSmallCellBytes = 4096;
inline constexpr std::uint32_t kMaxSmallBytes = 1024;
inline constexpr std::uint32_t kMaxMediumBytes = 64 * 1024;
inline constexpr std::uint32_t kMinBlockBytes = 16;

// Small sizes: multiples of 16 chosen so that little of a cell is left over.
inline constexpr std::array<std::uint32_t, 28> kSmallBlockBytes = {
    16,  32,  48,  64,  80,  96,  112, 128, 144, 160, 176, 192, 208, 224,
    240, 256, 272, 288, 304, 336, 368, 400, 448, 512, 576, 672, 816, 1024};
inline constexpr std::uint32_t kMediumPerDoubling = 8;
inline constexpr std::uint32_t kMediumDoublings = 6;  // 1 KiB .. 64 KiB
inline constexpr std::uint32_t kSmallClassCount = kSmallBlockBytes.size();
inline constexpr std::uint32_t kClassCount =
    kSmallClassCount + kMediumPerDoubling * kMediumDoublings;
inline constexpr std::uint32_t kLargeBin = kClassCount;
inline constexpr std::uint32_t kFirstPoolBin = kClassCount + 1;
inline constexpr std::uint32_t kPoolsPerSession = kBinsPerHeap - kFirstPoolBin;

/// True for a block size that a class or a pool may have.
constexpr bool is_block_size(std::uint64_t block_bytes) noexcept {
  return block_bytes >= kMinBlockBytes && block_bytes <= kMaxMediumBytes &&
         block_bytes % kMinBlockBytes == 0;
}

/// How spans of blocks of `block_bytes` (is_block_size()) are cut.
constexpr SizeClass size_class_for(std::uint32_t block_bytes) noexcept {
  SizeClass out{};
  out.block_bytes = block_bytes;
  const bool small = block_bytes <= kMaxSmallBytes;
  // At least 16 blocks a span, mostly 32, so that little is left over; no more, since a session has
  // a span that is not full in most classes.
  out.span_granules = block_bytes <= 512     ? 1U
                      : block_bytes <= 4096  ? 2U
                      : block_bytes <= 8192  ? 4U
                      : block_bytes <= 16384 ? 8U
                                             : 16U;
  const std::uint32_t span_bytes = out.span_granules * static_cast<std::uint32_t>(kGranuleBytes);
  out.cell_bytes = small ? kSmallCellBytes : span_bytes;
  out.blocks_per_cell = out.cell_bytes / block_bytes;
  out.block_count = out.blocks_per_cell * (span_bytes / out.cell_bytes);
  out.reciprocal = ~std::uint64_t{0} / block_bytes + 1;
  return out;
}

namespace size_class_detail {

constexpr std::array<SizeClass, kClassCount> make_table() {
  std::array<SizeClass, kClassCount> table{};
  std::size_t next = 0;
  for (const std::uint32_t bytes : kSmallBlockBytes) table.at(next++) = size_class_for(bytes);
  for (std::uint32_t low = kMaxSmallBytes; low < kMaxMediumBytes; low *= 2) {
    for (std::uint32_t step = 1; step <= kMediumPerDoubling; ++step) {
      table.at(next++) = size_class_for(low + low / kMediumPerDoubling * step);
    }
  }
  return table;
}

}  // namespace size_class_detail

inline constexpr std::array<SizeClass, kClassCount> kSizeClasses = size_class_detail::make_table();

// Two tables answer "which bin" by one load: for 1 .. 16 bytes, 17 .. 32 and so on to 1 KiB, and for
// 1 .. 128 bytes, 129 .. 256 and so on to 64 KiB.
struct BinTables {
  std::array<std::uint8_t, kMaxSmallBytes / 16> by_16;
  std::array<std::uint8_t, kMaxMediumBytes / 128> by_128;
};

template <std::size_t kCount>
constexpr void fill_bins(std::array<std::uint8_t, kCount>& table, std::size_t step_bytes) {
  std::uint8_t bin = 0;
  for (std::size_t i = 0; i < kCount; ++i) {
    while (kSizeClasses.at(bin).block_bytes < (i + 1) * step_bytes) ++bin;
    table.at(i) = bin;
  }
}

constexpr BinTables make_bin_tables() {
  BinTables tables{};
  fill_bins(tables.by_16, 16);
  fill_bins(tables.by_128, 128);
  return tables;
}

inline constexpr BinTables kBinTables = make_bin_tables();

/// The bin whose blocks are the smallest that hold `size_bytes` (1 .. 2^63); kLargeBin above
/// 64 KiB. Constant time.
constexpr std::uint32_t bin_of(std::uint64_t size_bytes) noexcept {
  if (size_bytes <= kMaxSmallBytes) return kBinTables.by_16[(size_bytes - 1) / 16];
  if (size_bytes <= kMaxMediumBytes) return kBinTables.by_128[(size_bytes - 1) / 128];
  return kLargeBin;
}

/// Offset in its span of block `index` (below block_count).
constexpr std::uint32_t block_offset(const SizeClass& size_class, std::uint32_t index) noexcept {
  return index / size_class.blocks_per_cell * size_class.cell_bytes +
         index % size_class.blocks_per_cell * size_class.block_bytes;
}

inline constexpr std::uint32_t kNotABlockStart = ~std::uint32_t{0};

/// Index of the block that starts at `offset_bytes` of its span, or kNotABlockStart if none does.
/// One multiplication gives quotient and divisibility (Lemire, Kaser & Kurz, "Faster remainder by
/// direct computation", 2019): with c = ceil(2^64 / d), n / d is the high word of n * c, and d
/// divides n if and only if the low word is below c; for n, d < 2^32.
constexpr std::uint32_t block_index(const SizeClass& size_class,
                                    std::uint32_t offset_bytes) noexcept {
  // A cell's size is a power of two: no division.
  const auto cell_shift = static_cast<std::uint32_t>(std::countr_zero(size_class.cell_bytes));
  const std::uint32_t cell = offset_bytes >> cell_shift;
  const std::uint32_t in_cell = offset_bytes & (size_class.cell_bytes - 1);
  const detail::Wide product = detail::Wide{in_cell} * size_class.reciprocal;
  const auto slot = static_cast<std::uint32_t>(product >> 64);
  if (static_cast<std::uint64_t>(product) >= size_class.reciprocal ||
      slot >= size_class.blocks_per_cell) {
    return kNotABlockStart;
  }
  return cell * size_class.blocks_per_cell + slot;
}

/// Largest power of two that every block of this class is aligned to.
constexpr std::uint32_t natural_alignment(const SizeClass& size_class) noexcept {
  return size_class.block_bytes & (~size_class.block_bytes + 1);
}

namespace size_class_detail {
constexpr bool is_sound() {
  for (const SizeClass& one : kSizeClasses) {
    if (one.block_count > kWordsPerGranule * one.span_granules) return false;
    if (one.block_bytes % kMinBlockBytes != 0) return false;
    if (!std::has_single_bit(one.cell_bytes)) return false;
  }
  return true;
}
}  // namespace size_class_detail
static_assert(size_class_detail::is_sound());
static_assert(kSizeClasses.back().block_bytes == kMaxMediumBytes);
static_assert(kFirstPoolBin < kBinsPerHeap);

}  // namespace allot::region
