// The processors that this process may run on.
#pragma once

#include <vector>

namespace allot::bench {

/// Their numbers, ascending.
[[nodiscard]] std::vector<int> usable_processors();

}  // namespace allot::bench
