#include "client/fit_core.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace allot::detail {

namespace {

constexpr int kMaxMisfits = 64;  // free extents looked at for an alignment's sake
// At most what one call takes: live, behind it, new memory, its piece.
constexpr std::size_t kExtentsACall = 4;

std::uintptr_t address_of(const void* block) noexcept {
  return reinterpret_cast<std::uintptr_t>(block);
}

void* pointer(std::uintptr_t address) noexcept {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): the tags have it
}

// An alignment and the units of a size; kOk if both make sense.
Errc round(std::size_t& size, std::size_t& alignment) noexcept {
  if (!is_alignment(alignment) || alignment > kMaxArenaBytes) return Errc::kBadAlignment;
  if (size > kMaxArenaBytes) return Errc::kSizeTooLarge;
  alignment = std::max(alignment, FitCore::kUnitBytes);
  size = (std::max<std::size_t>(size, 1) + FitCore::kUnitBytes - 1) & ~(FitCore::kUnitBytes - 1);
  return Errc::kOk;
}

std::uintptr_t align_up(std::uintptr_t value, std::size_t alignment) noexcept {
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace

FitExtent* FitCore::find_fit(std::size_t bytes, std::size_t alignment) noexcept {
  FitExtent* found = tree_.best(bytes);
  if (alignment == kUnitBytes) return found;
  for (int misfits = 0; found != nullptr; found = tree_.after(*found)) {
    if (align_up(found->begin, alignment) + bytes <= found->end()) return found;
    if (++misfits != kMaxMisfits) continue;
    // Any that is longer by the alignment fits, if not best. Without one the search goes on.
    if (FitExtent* const longer = tree_.best(bytes + alignment - kUnitBytes)) return longer;
  }
  return nullptr;
}

void FitCore::link_above(FitExtent& below, FitExtent& added) noexcept {
  added.below = &below;
  added.above = below.above;
  (below.above != nullptr ? below.above->below : highest_) = &added;
  below.above = &added;
}

void FitCore::unlink(FitExtent& extent) noexcept {
  (extent.below != nullptr ? extent.below->above : lowest_) = extent.above;
  (extent.above != nullptr ? extent.above->below : highest_) = extent.below;
  extents_.give_back(extent);
}

FitExtent* FitCore::cut(FitExtent& found, std::uintptr_t start, std::size_t bytes) noexcept {
  FitExtent* extent = &found;
  tree_.erase(found);
  if (start > found.begin) {
    extent = extents_.take();
    extent->begin = start;
    extent->bytes = found.end() - start;
    link_above(found, *extent);
    found.bytes = start - found.begin;
    tree_.insert(found);
  }
  if (extent->bytes > bytes) {
    FitExtent* const rest = extents_.take();
    rest->begin = start + bytes;
    rest->bytes = extent->bytes - bytes;
    link_above(*extent, *rest);
    extent->bytes = bytes;
    tree_.insert(*rest);
  }
  extent->live = true;
  index_.insert(*extent);
  live_bytes_ += bytes;
  free_bytes_ -= bytes;
  return extent;
}

void* FitCore::allocate(std::size_t size, std::size_t alignment, Errc& why) noexcept {
  if (why = round(size, alignment); why != Errc::kOk) return nullptr;
  if (!extents_.reserve(kExtentsACall) || !index_.reserve_one()) [[unlikely]] {
    why = Errc::kMachineFull;
    return nullptr;
  }
  FitExtent* found = find_fit(size, alignment);
  if (found == nullptr) [[unlikely]] {
    found = grow(size, alignment, why);
    if (found == nullptr) return nullptr;
  }
  return pointer(cut(*found, align_up(found->begin, alignment), size)->begin);
}

FitExtent& FitCore::make_free(FitExtent& extent) noexcept {
  FitExtent* joined = &extent;
  joined->live = false;
  if (FitExtent* const below = extent.touching_below(); below != nullptr && !below->live) {
    tree_.erase(*below);
    below->bytes += extent.bytes;
    unlink(extent);
    joined = below;
  }
  if (FitExtent* const above = joined->touching_above(); above != nullptr && !above->live) {
    tree_.erase(*above);
    joined->bytes += above->bytes;
    unlink(*above);
  }
  tree_.insert(*joined);
  return *joined;
}

Errc FitCore::free(const void* block) noexcept {
  FitExtent* const extent = index_.take(address_of(block));
  if (extent == nullptr) [[unlikely]]
    return why_no_block(address_of(block));
  live_bytes_ -= extent->bytes;
  free_bytes_ += extent->bytes;
  make_free(*extent);
  return Errc::kOk;
}

Errc FitCore::why_no_block(std::uintptr_t address) const noexcept {
  for (const FitExtent* extent = lowest_; extent != nullptr; extent = extent->above) {
    if (address < extent->begin || address >= extent->end()) continue;
    return extent->live ? Errc::kInteriorPointer : Errc::kDoubleFree;
  }
  return Errc::kNotABlock;
}

void FitCore::shrink(FitExtent& extent, std::size_t bytes) noexcept {
  const std::size_t tail = extent.bytes - bytes;
  if (tail == 0) return;
  if (FitExtent* const above = extent.touching_above(); above != nullptr && !above->live) {
    tree_.erase(*above);
    above->begin -= tail;
    above->bytes += tail;
    tree_.insert(*above);
    extent.bytes = bytes;
    live_bytes_ -= tail;
    free_bytes_ += tail;
    return;
  }
  // Without an extent for the tail the block stays as long as it is.
  if (!extents_.reserve(1)) return;
  FitExtent* const rest = extents_.take();
  rest->begin = extent.begin + bytes;
  rest->bytes = tail;
  link_above(extent, *rest);
  extent.bytes = bytes;
  live_bytes_ -= tail;
  free_bytes_ += tail;
  make_free(*rest);
}

bool FitCore::grow_in_place(FitExtent& extent, std::size_t bytes) noexcept {
  const std::size_t missing = bytes - extent.bytes;
  FitExtent* above = extent.touching_above();
  if (above != nullptr && above->live) return false;
  const std::size_t room = above != nullptr ? above->bytes : 0;
  if (room < missing) {
    // At the top the source may have more, right behind it.
    if (highest_ != (above != nullptr ? above : &extent)) return false;
    if (!extents_.reserve(kExtentsACall) || grow_at_top(missing - room) == nullptr) return false;
    above = extent.touching_above();
    if (above == nullptr || above->bytes < missing) return false;  // another thread was quicker
  }
  tree_.erase(*above);
  above->begin += missing;
  above->bytes -= missing;
  if (above->bytes > 0) {
    tree_.insert(*above);
  } else {
    unlink(*above);
  }
  extent.bytes = bytes;
  live_bytes_ += missing;
  free_bytes_ -= missing;
  return true;
}

void* FitCore::reallocate(void* block, std::size_t size, std::size_t alignment,
                          Errc& why) noexcept {
  std::size_t bytes = size;
  if (why = round(bytes, alignment); why != Errc::kOk) return nullptr;
  FitExtent* const extent = index_.find(address_of(block));
  if (extent == nullptr) {
    why = why_no_block(address_of(block));
    return nullptr;
  }
  if ((extent->begin & (alignment - 1)) == 0) {
    if (bytes <= extent->bytes) {
      shrink(*extent, bytes);
      return block;
    }
    if (grow_in_place(*extent, bytes)) return block;
  }
  void* const moved = allocate(size, alignment, why);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(size, extent->bytes));
  (void)free(block);
  return moved;
}

std::size_t FitCore::size_of(const void* block) const noexcept {
  const FitExtent* const extent = index_.find(address_of(block));
  return extent == nullptr ? 0 : extent->bytes;
}

}  // namespace allot::detail
