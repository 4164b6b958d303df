// FitCore: what lies behind a FitHeap: its extents, the tree of free ones, the index of live ones,
// and where it gets memory.
//
// Made by FitHeap::over(). It lies in its own guarded pages, in front of the tables that it
// reserves there. Split over: fit_core.cpp (life, allocate, reallocate, free), fit_growth.cpp
// (memory), and fit_check.cpp (looking at everything). All that a call needs it has before it
// changes anything.
//
// Invariants: F1 to F3 of fit_heap.hpp, and
// F4. The list from lowest_ to highest_ has every extent once, and all of a piece of memory in
// order.
//     Neighbours in it touch, unless memory that is not the heap's lies between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <allot/fit_heap.hpp>

#include "client/arena_source.hpp"
#include "client/fit_extents.hpp"
#include "client/fit_index.hpp"
#include "client/fit_tree.hpp"
#include "client/guarded_pages.hpp"

namespace allot::detail {

class FitCore {
 public:
  static constexpr std::size_t kUnitBytes = FitHeap::kUnitBytes;

  /// nullptr, and why, if there is no memory. `most_bytes`: what it will manage at most.
  [[nodiscard]] static FitCore* create(std::size_t most_bytes, const FitHeapOptions& options,
                                       Errc& why) noexcept;
  /// Gives all back and ends `core`.
  static void destroy(FitCore* core) noexcept;
  FitCore(const FitCore&) = delete;
  FitCore& operator=(const FitCore&) = delete;

  /// Memory that is the heap's from now on: whole units, at least one.
  [[nodiscard]] Errc manage(std::span<std::byte> buffer) noexcept;
  [[nodiscard]] Errc grow_from(Arena& arena) noexcept;

  [[nodiscard]] void* allocate(std::size_t size, std::size_t alignment, Errc& why) noexcept;
  [[nodiscard]] void* reallocate(void* block, std::size_t size, std::size_t alignment,
                                 Errc& why) noexcept;
  [[nodiscard]] Errc free(const void* block) noexcept;
  [[nodiscard]] std::size_t size_of(const void* block) const noexcept;
  void clear() noexcept;

  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }
  [[nodiscard]] std::size_t free_bytes() const noexcept { return free_bytes_; }
  [[nodiscard]] std::size_t managed_bytes() const noexcept { return managed_bytes_; }
  [[nodiscard]] std::size_t block_count() const noexcept { return index_.count(); }
  [[nodiscard]] std::size_t largest_free_bytes() const noexcept {
    return tree_.largest() == nullptr ? 0 : tree_.largest()->bytes;
  }
  [[nodiscard]] bool check() const noexcept;

 private:
  // What the source gave, to give it back.
  struct Piece {
    Extent extent;
    Piece* older = nullptr;
  };
  static_assert(sizeof(Piece) <= sizeof(FitExtent));

  FitCore(GuardedPages pages, const FitHeapOptions& options) noexcept;
  ~FitCore();

  [[nodiscard]] FitExtent* find_fit(std::size_t bytes, std::size_t alignment) noexcept;
  /// Makes [start, start + bytes) of a free extent live; what is left on either side stays free.
  FitExtent* cut(FitExtent& found, std::uintptr_t start, std::size_t bytes) noexcept;
  void shrink(FitExtent& extent, std::size_t bytes) noexcept;
  [[nodiscard]] bool grow_in_place(FitExtent& extent, std::size_t bytes) noexcept;
  [[nodiscard]] Errc why_no_block(std::uintptr_t address) const noexcept;

  /// `extent`, in no tree, becomes free and one with free extents that touch it.
  FitExtent& make_free(FitExtent& extent) noexcept;
  void link_above(FitExtent& below, FitExtent& added) noexcept;
  void unlink(FitExtent& extent) noexcept;
  /// Memory joins the list, at the end that it touches, else on top. The free extent that has it
  /// then.
  FitExtent& add_memory(std::uintptr_t begin, std::size_t bytes) noexcept;

  /// A free extent in which `bytes` fit at `alignment`, with memory from the source.
  [[nodiscard]] FitExtent* grow(std::size_t bytes, std::size_t alignment, Errc& why) noexcept;
  /// Takes `least` bytes or more from the source. The free extent that has them then.
  [[nodiscard]] FitExtent* grow_by(std::size_t least, Errc& why) noexcept;
  /// The same if the source goes on right behind the highest extent; else nullptr.
  [[nodiscard]] FitExtent* grow_at_top(std::size_t least) noexcept;
  [[nodiscard]] FitExtent* take_piece(std::size_t bytes, Errc& why) noexcept;

  GuardedPages pages_;
  FitExtents extents_;
  FitIndex index_;
  FitTree tree_;
  FitExtent* lowest_ = nullptr;
  FitExtent* highest_ = nullptr;
  std::size_t live_bytes_ = 0;
  std::size_t free_bytes_ = 0;
  std::size_t managed_bytes_ = 0;
  std::unique_ptr<BlockSource> source_;
  Piece* pieces_ = nullptr;
  std::size_t piece_count_ = 0;
  std::size_t step_bytes_;
  std::size_t max_step_bytes_;
};

}  // namespace allot::detail
