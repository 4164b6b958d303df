#include "bench/turns.hpp"

namespace allot::bench {

std::vector<Sample> run_loops(const std::vector<std::string>& loops, std::size_t size_bytes,
                              const Effort& effort, const std::string& environment,
                              std::uint64_t fixed_pairs) {
  std::vector<Contender> contenders;
  contenders.reserve(loops.size());
  for (const std::string& loop : loops) {
    contenders.emplace_back(ContenderSpec{loop, -1, fixed_pairs}, environment);
    contenders.back().prepare(size_bytes, effort.round);
  }
  std::vector<Sample> samples(loops.size());
  take_turns(loops.size(), effort.rounds,
             [&](std::size_t i) { samples[i].add(contenders[i].measure()); });
  return samples;
}

}  // namespace allot::bench
