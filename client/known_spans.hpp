// KnownSpan: the span in which a thread met its latest block, whoever's it is.
//
// Neighbours are often met one after the other: a receiver frees in the order of allocation. What was
// checked when the span was found (RegionView::find_block()) holds as long as its descriptor and its
// carve word are what they were: two loads instead of a search. Private memory, one thread.
#pragma once

#include <cstdint>

#include "shared/region/region_view.hpp"

namespace allot {

class KnownSpan {
 public:
  KnownSpan() noexcept = default;
  /// Of a block that find_block() found; of one without neighbours nothing is known.
  KnownSpan(const region::RegionView& view, const region::BlockRef& found) noexcept
      : found_(found),
        begin_(found.span.first * region::kGranuleBytes),
        bytes_(found.carving.kind == region::Carving::Kind::kBlocks
                   ? found.span.head.granules * region::kGranuleBytes
                   : 0),
        descriptor_(&view.descriptor(found.span.first)),
        descriptor_word_(found.span.head.encode()),
        ledger_(&view.span_ledger(found.span.first)),
        words_(&view.word(found.span.first, 0)) {}

  /// Own word of the block that begins at `offset_bytes` of the data; nullptr if that is not in this
  /// span, or no block's beginning, or the span has changed.
  [[nodiscard]] detail::Atomic<std::uint32_t>* word_at(std::uint64_t offset_bytes) const noexcept {
    const std::uint32_t index = index_at(offset_bytes);
    return index != region::kNotABlockStart ? words_ + index : nullptr;
  }

  /// The same; `found` is what find_block() would say.
  [[nodiscard]] bool find(std::uint64_t offset_bytes, region::BlockRef& found) const noexcept {
    const std::uint32_t index = index_at(offset_bytes);
    if (index == region::kNotABlockStart) return false;
    found = found_;
    found.index = index;
    found.word = words_ + index;
    return true;
  }

  /// What was met: the span and its carving are those of all its blocks.
  [[nodiscard]] const region::BlockRef& met() const noexcept { return found_; }
  [[nodiscard]] region::SpanLedger& ledger() const noexcept { return *ledger_; }

 private:
  [[nodiscard]] std::uint32_t index_at(std::uint64_t offset_bytes) const noexcept {
    const std::uint64_t in_span = offset_bytes - begin_;
    // Acquired as in find_span() and carving_of().
    if (in_span >= bytes_ || descriptor_->load_acquire() != descriptor_word_ ||
        ledger_->carve.load_acquire() != found_.carving.word) {
      return region::kNotABlockStart;
    }
    return region::block_index(found_.carving.cut, static_cast<std::uint32_t>(in_span));
  }

  region::BlockRef found_;
  std::uint64_t begin_ = 0;
  std::uint64_t bytes_ = 0;
  const detail::Atomic<std::uint64_t>* descriptor_ = nullptr;
  std::uint64_t descriptor_word_ = 0;
  region::SpanLedger* ledger_ = nullptr;
  detail::Atomic<std::uint32_t>* words_ = nullptr;
};

}  // namespace allot
