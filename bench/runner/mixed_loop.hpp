// Loops over mixed sizes: 10,000 live blocks, of which one at random is freed and allocated anew at
// another size, over and over. FitHeap and its peers.
//
// Sizes lie between 16 B and the round's size, small ones more often: each doubling is as likely as
// the next. All contenders see the same sizes and the same choices. A "pair" is one free, one
// allocate and one byte written. Filling up, and the churn after it that brings about the usual
// holes, do not count.
#pragma once

#include "bench/runner/loop.hpp"

namespace allot::bench {

/// The loops of this file.
[[nodiscard]] const LoopTable& mixed_loops();

}  // namespace allot::bench
