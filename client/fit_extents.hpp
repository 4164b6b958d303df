// FitExtent: a run of a FitHeap's memory, live or free. FitExtents: the slab that they are cut
// from.
//
// Private memory of the heap's process, out of band: an extent says where its bytes lie, and
// nothing lies in them. One cache line each. An extent has a number, its place in the slab, which
// is how the index by address names it. Growth never moves one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include <boost/intrusive/set_hook.hpp>

#include "client/guarded_pages.hpp"

namespace allot::detail {

using FitHook =
    boost::intrusive::set_base_hook<boost::intrusive::optimize_size<true>,
                                    boost::intrusive::link_mode<boost::intrusive::normal_link>>;

struct alignas(64) FitExtent : FitHook {
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
  FitExtent* below = nullptr;  // neighbours in the list; they touch unless memory ends between them
  FitExtent* above = nullptr;
  bool live = false;

  [[nodiscard]] std::uintptr_t end() const noexcept { return begin + bytes; }
  [[nodiscard]] FitExtent* touching_below() const noexcept {
    return below != nullptr && below->end() == begin ? below : nullptr;
  }
  [[nodiscard]] FitExtent* touching_above() const noexcept {
    return above != nullptr && end() == above->begin ? above : nullptr;
  }
};
static_assert(sizeof(FitExtent) == 64);

class FitExtents {
 public:
  /// The slab lies in `pages` from `offset_bytes` on, both multiples of a page.
  FitExtents(GuardedPages& pages, std::size_t offset_bytes) noexcept
      : pages_(&pages),
        offset_bytes_(offset_bytes),
        slab_(reinterpret_cast<FitExtent*>(pages.base() + offset_bytes)) {}

  /// Sees to it that the next `count` takes succeed.
  [[nodiscard]] bool reserve(std::size_t count) noexcept {
    if (spare_count_ + (capacity_ - used_) >= count) [[likely]]
      return true;
    return commit(count);
  }
  /// One that reserve() has promised.
  [[nodiscard]] FitExtent* take() noexcept {
    if (spare_ == nullptr) return ::new (static_cast<void*>(slab_ + used_++)) FitExtent();
    FitExtent* const extent = spare_;
    spare_ = extent->above;
    --spare_count_;
    return ::new (static_cast<void*>(extent)) FitExtent();
  }
  void give_back(FitExtent& extent) noexcept {
    extent.above = spare_;
    spare_ = &extent;
    ++spare_count_;
  }

  [[nodiscard]] std::uint32_t number_of(const FitExtent& extent) const noexcept {
    return static_cast<std::uint32_t>(&extent - slab_);
  }
  [[nodiscard]] FitExtent& at(std::uint32_t number) const noexcept { return slab_[number]; }
  /// Extents that are taken.
  [[nodiscard]] std::size_t count() const noexcept { return used_ - spare_count_; }

 private:
  [[nodiscard, gnu::cold]] bool commit(std::size_t count) noexcept {
    if (!pages_->commit(offset_bytes_ + (used_ + count) * sizeof(FitExtent))) return false;
    capacity_ = (pages_->committed_bytes() - offset_bytes_) / sizeof(FitExtent);
    return true;
  }

  GuardedPages* pages_;
  std::size_t offset_bytes_;
  FitExtent* slab_;
  FitExtent* spare_ = nullptr;
  std::size_t spare_count_ = 0;
  std::size_t used_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace allot::detail
