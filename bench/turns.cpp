#include "bench/turns.hpp"

namespace allot::bench {

std::vector<Sample> take_turns(std::span<Contender* const> contenders, int rounds) {
  std::vector<Sample> samples(contenders.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const std::size_t turn = (i + static_cast<std::size_t>(round)) % contenders.size();
      samples[turn].add(contenders[turn]->measure());
    }
  }
  return samples;
}

std::vector<Sample> run_loops(const std::vector<std::string>& loops, std::size_t size_bytes,
                              const Effort& effort, const std::string& environment,
                              std::uint64_t fixed_pairs) {
  std::vector<Contender> contenders;
  contenders.reserve(loops.size());
  std::vector<Contender*> turns;
  for (const std::string& loop : loops) {
    contenders.emplace_back(ContenderSpec{loop, loop, "", -1, fixed_pairs}, environment);
    contenders.back().prepare(size_bytes, effort.round);
    turns.push_back(&contenders.back());
  }
  return take_turns(turns, effort.rounds);
}

}  // namespace allot::bench
