// Rounds of several contenders, which take turns.
//
// A round visits all of them and begins with another one each time, so that what the machine does
// meanwhile meets all alike.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/contender.hpp"
#include "bench/family.hpp"

namespace allot::bench {

/// Calls turn(0 .. count - 1), in that order but for where it begins, `rounds` times.
template <class Turn>
void take_turns(std::size_t count, int rounds, Turn turn) {
  for (std::size_t round = 0; round < static_cast<std::size_t>(rounds); ++round) {
    for (std::size_t i = 0; i < count; ++i) turn((i + round) % count);
  }
}

/// Rounds of the runner's loops of these names, of `size_bytes`; the samples are in their order.
/// `fixed_pairs`: as in Contender.
[[nodiscard]] std::vector<Sample> run_loops(const std::vector<std::string>& loops,
                                            std::size_t size_bytes, const Effort& effort,
                                            const std::string& environment,
                                            std::uint64_t fixed_pairs = 0);

}  // namespace allot::bench
