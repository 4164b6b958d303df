// NameWalk: goes over what has a name in a region, and what had one and is still pinned, in slices.
//
// Used by the control socket's answers. Between two slices names may come and go: one that is there all
// the time is met once; a hidden one that ends meanwhile may make the walk miss another hidden one.
#pragma once

#include <cstddef>
#include <string>

#include "daemon/core/region_core.hpp"

namespace allot::daemon {

class NameWalk {
 public:
  /// Calls `visit(name, record)` for at most `count` of them, with "" for a hidden one; true when there
  /// are no more.
  template <class Visit>
  [[nodiscard]] bool step(const core::RegionCore& region, std::size_t count, const Visit& visit) {
    auto it = region.names().upper_bound(last_);
    for (; count > 0 && it != region.names().end(); --count, ++it) {
      visit(it->first, it->second);
      last_ = it->first;
    }
    for (; count > 0 && next_hidden_ < region.hidden_names().size(); --count) {
      visit(std::string(), region.hidden_names()[next_hidden_++]);
    }
    return count > 0;
  }

 private:
  std::string last_;
  std::size_t next_hidden_ = 0;
};

}  // namespace allot::daemon
