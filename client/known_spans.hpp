// KnownSpans: the spans in which a thread met blocks lately, whoever's they are.
//
// What comes from one sender lies in few spans: one of each size that he makes. What was checked when
// a span was found (RegionView::find_block()) holds as long as its descriptor and its carve word are
// what they were: two loads instead of a search. Private memory, one thread.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <new>

#include "client/library_scope.hpp"
#include "client/span_cell.hpp"
#include "shared/region/region_view.hpp"

namespace allot {

class KnownSpan {
 public:
  KnownSpan() noexcept = default;
  /// Of a block that find_block() found; of one without neighbours nothing is known.
  KnownSpan(const region::RegionView& view, std::byte* data, const region::BlockRef& found) noexcept
      : descriptor_(&view.descriptor(found.span.first)),
        descriptor_word_(found.span.head.encode()),
        ledger_(&view.span_ledger(found.span.first)),
        found_(found) {
    if (found.carving.kind != region::Carving::Kind::kBlocks) return;
    cell_ = make_span_cell(view, data, found.span.first, found.carving.cut);
    bytes_ = found.span.head.granules * region::kGranuleBytes;
  }

  /// Own word of the block that begins at `block`; nullptr if that is not in this span, or no block's
  /// beginning, or the span has changed.
  [[nodiscard]] detail::Atomic<std::uint32_t>* word_of(const void* block) const noexcept {
    const auto in_span =
        reinterpret_cast<std::uintptr_t>(block) - reinterpret_cast<std::uintptr_t>(cell_.base);
    // Acquired as in find_span() and carving_of().
    if (in_span >= bytes_ || descriptor_->load_acquire() != descriptor_word_ ||
        ledger_->carve.load_acquire() != found_.carving.word) {
      return nullptr;
    }
    detail::Atomic<std::uint32_t>* own = nullptr;
    return detail::find_own_word(cell_, block, own) ? own : nullptr;
  }

  /// The same; `found` is what find_block() would say.
  [[nodiscard]] bool find(const void* block, region::BlockRef& found) const noexcept {
    detail::Atomic<std::uint32_t>* const own = word_of(block);
    if (own == nullptr) return false;
    found = found_;
    found.index = static_cast<std::uint32_t>(own - cell_.words);
    found.word = own;
    return true;
  }

  /// What was met: the span and its carving are those of all its blocks.
  [[nodiscard]] const region::BlockRef& met() const noexcept { return found_; }
  [[nodiscard]] region::SpanLedger& ledger() const noexcept { return *ledger_; }

 private:
  detail::SpanCell cell_{};
  std::uint64_t bytes_ = 0;
  const detail::Atomic<std::uint64_t>* descriptor_ = nullptr;
  std::uint64_t descriptor_word_ = 0;
  region::SpanLedger* ledger_ = nullptr;
  region::BlockRef found_;
};

class KnownSpans {
 public:
  /// What is known of the granule that `offset_bytes` lies in; of another if nothing is, and then it
  /// finds no block there.
  [[nodiscard]] const KnownSpan& at(std::uint64_t offset_bytes) const noexcept {
    return spans_ == nullptr ? kNone : (*spans_)[place(offset_bytes)];
  }

  /// Remembers where the block at `offset_bytes` was found; nothing without memory for it.
  void remember(const region::RegionView& view, std::byte* data, const region::BlockRef& found,
                std::uint64_t offset_bytes) noexcept {
    if (spans_ == nullptr) {
      const LibraryScope inside;
      spans_.reset(new (std::nothrow) Spans());
      if (spans_ == nullptr) return;
    }
    (*spans_)[place(offset_bytes)] = KnownSpan(view, data, found);
  }

  void forget() noexcept {
    if (spans_ != nullptr) spans_->fill(KnownSpan{});
  }

 private:
  // More than a sender has sizes. It is memory that only threads which meet others' blocks pay for.
  using Spans = std::array<KnownSpan, 64>;
  static_assert(std::has_single_bit(std::tuple_size_v<Spans>));
  [[nodiscard]] static std::size_t place(std::uint64_t offset_bytes) noexcept {
    return offset_bytes / region::kGranuleBytes % std::tuple_size_v<Spans>;
  }

  inline static const KnownSpan kNone{};
  std::unique_ptr<Spans> spans_;
};

}  // namespace allot
