// What a process knows of a span of blocks, as the fast path wants it.
#pragma once

#include <bit>
#include <cstdint>

#include <allot/detail/fast_heap.hpp>

#include "shared/region/region_view.hpp"

namespace allot {

/// Of the span at granule `first` that is cut like `cut`; of no heap. `data`: where the region lies.
[[nodiscard]] inline detail::SpanCell make_span_cell(const region::RegionView& view,
                                                     std::byte* data, std::uint32_t first,
                                                     const region::SizeClass& cut) noexcept {
  detail::SpanCell cell{};
  cell.words = &view.word(first, 0);
  cell.base = data + first * region::kGranuleBytes;
  cell.reciprocal = cut.reciprocal;
  // A medium span is one cell: no offset in it reaches bit 31.
  const bool small = cut.cell_bytes == region::kSmallCellBytes;
  cell.cell_shift = small ? std::bit_width(region::kSmallCellBytes) - 1 : 31;
  cell.cell_mask = (1U << cell.cell_shift) - 1;
  cell.blocks_per_cell = cut.blocks_per_cell;
  cell.first = first;
  cell.granules = static_cast<std::uint16_t>(cut.span_granules);
  return cell;
}

}  // namespace allot
