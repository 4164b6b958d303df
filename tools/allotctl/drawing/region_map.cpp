#include "tools/allotctl/drawing/region_map.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace allot::ctl {

RegionMap::RegionMap(Head head, std::size_t max_cells) : head_(std::move(head)) {
  head_.granules = std::min(head_.granules, kMostGranules);
  head_.used_granules = std::min(head_.used_granules, head_.granules);
  const auto cells_of = [this] {
    return head_.used_granules / granules_per_cell_ +
           (head_.used_granules % granules_per_cell_ != 0 ? 1 : 0);
  };
  while (cells_of() > max_cells) granules_per_cell_ *= 2;
  cells_.resize(cells_of());
}

void RegionMap::add(const MapItem& item) {
  if (item.first >= head_.used_granules || item.granules == 0) return;
  MapItem kept = item;
  kept.granules = std::min(item.granules, head_.used_granules - item.first);
  const std::uint64_t end = kept.first + kept.granules;
  for (std::uint64_t at = kept.first; at < end;) {
    const std::uint64_t cell = at / granules_per_cell_;
    const std::uint64_t cell_end = std::min(end, (cell + 1) * granules_per_cell_);
    cells_[cell].add(item, cell_end - at);
    at = cell_end;
  }
  if (item.violations > 0) cells_[kept.first / granules_per_cell_].add_violations(item.violations);
  if (is_span(item.kind)) {
    ++sums_.spans;
    sums_.granted_bytes += item.granted_bytes;
    sums_.live_bytes += item.live_bytes;
    sums_.live_blocks += item.live_blocks;
    if (item.orphan) ++sums_.orphans;
    if (item.granted_unix_ns == 0) ++sums_.unknown_ages;
  }
  if (items_.size() < kMostItems) {
    items_.push_back(std::move(kept));
  } else {
    has_all_items_ = false;
  }
}

void RegionMap::add(const MapOwner& owner) {
  const auto [it, is_new] = owners_.try_emplace(owner.session, owner);
  if (!is_new) {
    it->second.spans += owner.spans;
    it->second.span_bytes += owner.span_bytes;
    it->second.live_bytes += owner.live_bytes;
    it->second.live_blocks += owner.live_blocks;
  } else if (owners_.size() > kMostOwners) {
    owners_.erase(it);
  }
}

void RegionMap::add(const MapViolation& violation) {
  if (violations_.size() < kMostViolations) violations_.push_back(violation);
  // Those of a span are in its item; of what is none, here alone.
  if (violation.granule >= head_.used_granules) return;
  MapCell& cell = cells_[violation.granule / granules_per_cell_];
  if (cell.violations() == 0) cell.add_violations(1);
}

std::size_t RegionMap::place_of(std::uint32_t session) const noexcept {
  return static_cast<std::size_t>(std::distance(owners_.begin(), owners_.find(session)));
}

}  // namespace allot::ctl
