// Rounds of several contenders, which take turns.
//
// A round visits all of them and begins with another one each time, so that what the machine does
// meanwhile meets all alike.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "bench/contender.hpp"
#include "bench/family.hpp"

namespace allot::bench {

/// `rounds` rounds of contenders that are prepared; the samples are in their order.
[[nodiscard]] std::vector<Sample> take_turns(std::span<Contender* const> contenders, int rounds);

/// The same for the runner's loops of these names, of `size_bytes`. `fixed_pairs`: as in
/// ContenderSpec.
[[nodiscard]] std::vector<Sample> run_loops(const std::vector<std::string>& loops,
                                            std::size_t size_bytes, const Effort& effort,
                                            const std::string& environment,
                                            std::uint64_t fixed_pairs = 0);

}  // namespace allot::bench
