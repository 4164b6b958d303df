// Loops over mixed sizes: 10,000 live blocks, of which one at random is freed and allocated anew at
// another size, over and over. FitHeap and its peers.
//
// Sizes lie between 16 B and the round's size, small ones more often: each doubling is as likely as
// the next. All contenders see the same sizes and the same choices. A "pair" is one free, one
// allocate and one byte written. Filling up, and the churn after it that brings about the usual
// holes, do not count.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/runner/loop.hpp"

namespace allot::bench {

/// Names of the loops below.
[[nodiscard]] std::vector<std::string> mixed_loop_names();
/// nullptr if there is none of this name.
[[nodiscard]] std::unique_ptr<Loop> make_mixed_loop(const std::string& name);

}  // namespace allot::bench
