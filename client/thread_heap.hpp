// ThreadHeap: a FastHeap with what its slow path needs: storage for the stacks and its spans.
//
// Owned by its SessionState; used by one thread at a time (parked heaps by whoever holds the
// session's mutex). The object outlives its session, since other threads' tables may still point
// at it: detached, all its stacks are empty and every fast path falls through.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <allot/detail/fast_heap.hpp>

#include "client/known_spans.hpp"
#include "shared/region/region_view.hpp"

namespace allot {

/// What a session knows of one of its pools. `name`: as it lies in the ledger.
struct PoolShape {
  std::array<char, region::kPoolNameBytes> name{};
  std::uint32_t block_bytes = 0;
};

class ThreadHeap : public detail::FastHeap {
 public:
  /// Reserves the stacks' storage; nullptr without memory.
  [[nodiscard]] static ThreadHeap* create() noexcept;
  ThreadHeap(const ThreadHeap&) = delete;
  ThreadHeap& operator=(const ThreadHeap&) = delete;
  ~ThreadHeap() = delete;  // used again, never destroyed

  struct Place {
    detail::SessionState* session;
    const region::RegionView* view;
    std::uint32_t session_id;
    std::uint32_t heap_id;
    std::byte* data;
    detail::SpanCell* cells;
  };
  /// Begins to serve a session; all stacks are empty.
  void attach(const Place& place) noexcept;
  /// Forgets the session; all stacks become empty.
  void detach() noexcept;
  [[nodiscard]] bool is_attached() const noexcept { return session != nullptr; }

  /// Makes `bin` (kFirstPoolBin or above, not open) that of a pool. False without memory.
  [[nodiscard]] bool open_pool(std::uint32_t bin, const PoolShape& pool) noexcept;
  [[nodiscard]] bool is_open(std::uint32_t bin) const noexcept {
    return bin < region::kClassCount || pool_cuts_[bin - region::kFirstPoolBin].block_bytes != 0;
  }

  /// How spans of `bin` are cut; of one that is open.
  [[nodiscard]] const region::SizeClass& cut_of(std::uint32_t bin) const noexcept {
    return bin < region::kClassCount ? region::kSizeClasses[bin]
                                     : pool_cuts_[bin - region::kFirstPoolBin];
  }
  /// True if it has more spans of `bin` than one: what it has will probably be used soon.
  [[nodiscard]] bool is_growing(std::uint32_t bin) const noexcept { return spans_[bin].size() > 1; }
  /// Says in the ledger which pool `bin` is.
  void publish_pool(std::uint32_t bin, const PoolShape& pool) noexcept;

  /// Cuts the granted, uncarved span at granule `first` into blocks of `bin` and puts them on the
  /// empty stack of the bin. `window_bytes` of data may be touched.
  void carve(std::uint32_t bin, std::uint32_t first, std::size_t window_bytes);

  /// In a forked child, where this heap's thread is gone and may have been in the middle of a change:
  /// it has no spans and no blocks, as when it was attached.
  void begin_anew() noexcept;
  /// Takes over the span at granule `first`, which is cut into blocks of `bin`; its free blocks are
  /// found by collect().
  void adopt_span(std::uint32_t bin, std::uint32_t first, std::size_t window_bytes);

  /// Fills the stack of `bin`, which has no free block at hand, from free and freed own words of this heap's spans; looks at a
  /// bounded number of spans. False if it found none.
  bool collect(std::uint32_t bin);

  /// Drops what is damaged of the blocks of `bin` that would go out next; returns how many.
  std::size_t drop_damaged(std::uint32_t bin) noexcept;

  /// Puts a block whose word was just moved to free on its stack. True if so much has been freed
  /// lately that release_surplus() is worth while.
  [[nodiscard]] bool push(const detail::SpanCell& cell, void* block,
                          detail::Atomic<std::uint32_t>* word) noexcept;

  static constexpr std::uint32_t kNoBin = ~std::uint32_t{0};
  /// Takes every span without a block in use off this heap, but for one of `wanted_bin`; its granule
  /// numbers go to `out`.
  void release_free_spans(std::vector<std::uint32_t>& out, std::uint32_t wanted_bin = kNoBin);
  /// Of `bin`, and all but some that it may need again soon.
  void release_surplus(std::uint32_t bin, std::vector<std::uint32_t>& out);

  /// Where this heap's thread found blocks lately.
  [[nodiscard]] const KnownSpans& known() const noexcept { return known_; }
  void remember(const region::BlockRef& found, std::uint64_t offset_bytes) noexcept {
    known_.remember(*view_, data, found, offset_bytes);
  }

  /// The span that was taken for this heap under the session's mutex and is to be carved without
  /// it; otherwise kNoSpan, from attach() on.
  static constexpr std::uint32_t kNoSpan = ~std::uint32_t{0};
  detail::Atomic<std::uint32_t> arriving{};

  /// The session's latest round of trims that this heap took part in.
  std::uint64_t trim_round = 0;

  void count_free(std::uint32_t bin) noexcept { bins[bin].counters->frees.add_single_writer(1); }

 private:
  ThreadHeap() noexcept = default;
  void empty_stacks() noexcept;
  [[nodiscard]] region::BinCounters& counters_of(std::uint32_t bin) const noexcept {
    return view_->heap_ledger(id).bins[bin];
  }
  [[nodiscard]] detail::SpanCell cell_of(std::uint32_t bin, std::uint32_t first) noexcept;
  [[nodiscard]] bool collect_span(std::uint32_t bin, std::uint32_t first);
  void forget_half(detail::HeapBin& bin) noexcept;
  [[nodiscard]] bool is_all_free(std::uint32_t bin, std::uint32_t first) const noexcept;
  void release_free_spans_of(std::uint32_t bin, std::size_t spans_to_keep,
                             std::vector<std::uint32_t>& out);

  detail::FreeBlock* stacks_ = nullptr;  // of the classes, one behind the other
  const region::RegionView* view_ = nullptr;
  KnownSpans known_;
  std::array<std::vector<std::uint32_t>, region::kBinsPerHeap> spans_;  // first granules
  std::array<std::size_t, region::kBinsPerHeap> cursors_{};
  std::array<std::uint64_t, region::kBinsPerHeap> forgotten_{};  // blocks, since the latest release
  std::array<region::SizeClass, region::kPoolsPerSession> pool_cuts_{};  // of those that are open
};

/// Blocks that the private stack of a bin with spans cut like this can hold.
[[nodiscard]] constexpr std::size_t stack_capacity(const region::SizeClass& cut) noexcept {
  const std::size_t twice = std::size_t{2} * cut.block_count;
  return twice < 256 ? 256 : twice;
}

}  // namespace allot
