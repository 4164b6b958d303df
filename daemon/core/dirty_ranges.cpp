#include "daemon/core/dirty_ranges.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace allot::core {

void DirtyRanges::add(std::uint32_t first, std::uint32_t granules, std::uint64_t since_ns) {
  granules_ += granules;
  const auto next = ranges_.lower_bound(first);
  assert(next == ranges_.end() || next->first >= first + granules);
  if (next != ranges_.begin()) {
    auto& [before, dirty] = *std::prev(next);
    if (dirty.since_ns == since_ns && before + dirty.granules == first) {
      dirty.granules += granules;
      return;
    }
  }
  ranges_.emplace_hint(next, first, Dirty{granules, since_ns});
}

void DirtyRanges::remove(std::uint32_t first, std::uint32_t granules) {
  const std::uint32_t end = first + granules;
  auto it = ranges_.upper_bound(first);
  if (it != ranges_.begin() && std::prev(it)->first + std::prev(it)->second.granules > first) --it;
  while (it != ranges_.end() && it->first < end) {
    const std::uint32_t dirty_first = it->first;
    const Dirty old = it->second;
    const std::uint32_t dirty_end = dirty_first + old.granules;
    it = ranges_.erase(it);
    if (dirty_first < first) ranges_[dirty_first] = Dirty{first - dirty_first, old.since_ns};
    if (dirty_end > end) it = ranges_.emplace(end, Dirty{dirty_end - end, old.since_ns}).first;
    granules_ -= std::min(dirty_end, end) - std::max(dirty_first, first);
  }
}

std::optional<DirtyRanges::Range> DirtyRanges::take(std::uint32_t max_granules,
                                                    std::uint64_t until_ns) {
  for (const auto& [first, dirty] : ranges_) {
    if (dirty.since_ns > until_ns) continue;
    // With the neighbours behind it: many small spans mostly come back side by side.
    std::uint32_t granules = dirty.granules;
    for (auto next = ranges_.find(first + granules);
         granules < max_granules && next != ranges_.end() && next->second.since_ns <= until_ns;
         next = ranges_.find(first + granules)) {
      granules += next->second.granules;
    }
    const Range taken{first, std::min(max_granules, granules)};
    remove(taken.first, taken.granules);
    return taken;
  }
  return std::nullopt;
}

}  // namespace allot::core
