#include "bench/heap_rounds.hpp"

#include <stdexcept>

#include "bench/turns.hpp"

namespace allot::bench {

namespace {

void add(HeapSamples& samples, const std::string& case_name, const Figures& figures) {
  for (const auto& [figure, value] : figures) samples.by_figure[{case_name, figure}].add(value);
}

std::vector<HeapSamples> empty_samples(const std::vector<HeapTurn>& turns) {
  std::vector<HeapSamples> samples;
  for (const HeapTurn& turn : turns) samples.push_back({turn.contender.name, {}});
  return samples;
}

std::vector<HeapContender> joined(std::vector<HeapContender> all,
                                  const std::vector<HeapContender>& more) {
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace

const std::vector<HeapContender>& mallocs() {
  static const std::vector<HeapContender> kMallocs = {{"glibc", "malloc", ""},
                                                      {"mimalloc", "malloc", "libmimalloc.so.2"},
                                                      {"jemalloc", "malloc", "libjemalloc.so.2"},
                                                      {"tcmalloc", "malloc", "libtcmalloc.so.4"}};
  return kMallocs;
}

const std::vector<HeapContender>& ours() {
  static const std::vector<HeapContender> kHeaps = {{kOurs, "allot", ""},
                                                    {kInlined, "allot-inline", ""}};
  return kHeaps;
}

bool is_interprocess(std::string_view name) { return name == kBestFit || name == kSequentialFit; }

const std::vector<HeapContender>& interprocess_heaps() {
  static const std::vector<HeapContender> kHeaps = {{kBestFit, "best-fit", ""},
                                                    {kSequentialFit, "seq-fit", ""}};
  return kHeaps;
}

HeapContender pmr_heap() { return {"std::pmr", "pmr", ""}; }
HeapContender pmr_synchronized_heap() { return {"std::pmr", "pmr-synchronized", ""}; }

std::vector<HeapContender> heaps_for_one_thread() {
  return joined(joined(joined(ours(), mallocs()), {pmr_heap()}), interprocess_heaps());
}

std::vector<HeapContender> heaps_for_threads() {
  return joined(joined(joined(ours(), mallocs()), {pmr_synchronized_heap()}), interprocess_heaps());
}

const Sample& HeapSamples::of(const std::string& case_name, const std::string& figure) const {
  const auto found = by_figure.find({case_name, figure});
  if (found == by_figure.end()) {
    throw std::runtime_error(name + " has no figure " + case_name + ", " + figure);
  }
  return found->second;
}

std::vector<HeapTurn> turns_of(const std::vector<HeapContender>& contenders,
                               const std::vector<std::string>& cases) {
  std::vector<HeapTurn> turns;
  for (const HeapContender& contender : contenders) turns.push_back({contender, cases});
  return turns;
}

std::vector<HeapSamples> run_heaps(const HeapProgram& program, const std::vector<HeapTurn>& turns,
                                   const Effort& effort) {
  const Daemon daemon;
  std::vector<HeapSamples> samples = empty_samples(turns);
  take_turns(turns.size(), effort.rounds, [&](std::size_t i) {
    const auto cases = program.run(turns[i].contender, turns[i].cases, daemon.environment());
    for (const auto& [case_name, figures] : cases) add(samples[i], case_name, figures);
  });
  return samples;
}

std::vector<HeapSamples> run_heaps_afresh(const HeapProgram& program,
                                          const std::vector<HeapTurn>& turns, const Effort& effort,
                                          const AfterRun& after) {
  std::vector<HeapSamples> samples = empty_samples(turns);
  take_turns(turns.size(), effort.rounds, [&](std::size_t i) {
    for (const std::string& case_name : turns[i].cases) {
      const Daemon daemon;
      auto cases = program.run(turns[i].contender, {case_name}, daemon.environment());
      if (after) after(daemon, cases[case_name]);
      add(samples[i], case_name, cases[case_name]);
    }
  });
  return samples;
}

Measurement as_measurement(const HeapLine& line, const std::vector<HeapSamples>& samples) {
  Measurement measurement{line.family, line.name, line.unit, {}, {}, {}};
  for (const HeapSamples& contender : samples) {
    const Sample& sample = contender.of(line.case_name, line.figure);
    if (contender.name == kOurs) {
      measurement.ours = sample;
    } else {
      auto& named = contender.name == kInlined ? measurement.beside : measurement.peers;
      named.push_back({contender.name, sample});
    }
  }
  return measurement;
}

}  // namespace allot::bench
