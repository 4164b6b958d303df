// What FitHeap::check() looks at: the list, and the tree and the index against it.

#include "client/fit_core.hpp"

namespace allot::detail {

bool FitCore::check() const noexcept {
  std::size_t live_bytes = 0;
  std::size_t live_count = 0;
  std::size_t free_bytes = 0;
  std::size_t free_count = 0;
  const FitExtent* previous = nullptr;
  for (const FitExtent* extent = lowest_; extent != nullptr; extent = extent->above) {
    // A list that became a loop has more extents than were ever taken.
    if (live_count + free_count >= extents_.count()) return false;
    if (extent->below != previous || extent->bytes == 0) return false;
    if ((extent->begin | extent->bytes) % kUnitBytes != 0) return false;
    const FitExtent* const touching = extent->touching_below();
    if (touching != nullptr && !touching->live && !extent->live) return false;
    if (extent->live) {
      live_bytes += extent->bytes;
      ++live_count;
      if (index_.find(extent->begin) != extent) return false;
    } else {
      free_bytes += extent->bytes;
      ++free_count;
    }
    previous = extent;
  }
  std::size_t in_tree = 0;
  return previous == highest_ && tree_.is_consistent(in_tree) && in_tree == free_count &&
         index_.count() == live_count &&
         extents_.count() == live_count + free_count + piece_count_ && live_bytes == live_bytes_ &&
         free_bytes == free_bytes_ && live_bytes + free_bytes == managed_bytes_;
}

}  // namespace allot::detail
