// arena: push, push and write, growth, scopes and VlArray, in one process with nothing else to do.
//
// Contenders run as in `pair`: processes of their own, a new one each round, taking turns. Only
// growth in a region needs a daemon. One line a claim: the floor and each peer have their own.

#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bench/arena_families.hpp"
#include "bench/daemon.hpp"
#include "bench/family.hpp"
#include "bench/turns.hpp"

namespace allot::bench {

namespace {

constexpr std::size_t kArrayElements = 100'000'000;
constexpr std::size_t kQuickArrayElements = 1'000'000;
constexpr double kLeastScopeNs = 2;

constexpr const char* kEnvironment = "ALLOT_BENCH=arena";

// `what` is "push" or "write".
void measure_pushes(const std::string& what, std::size_t size_bytes, const Effort& effort,
                    std::vector<Measurement>& measurements) {
  std::vector<std::string> loops = {what + "-arena", what + "-bump", what + "-std-pmr",
                                    what + "-boost-pmr"};
  const bool more = what == "push";
  if (more) loops.insert(loops.end(), {"push-std-pmr-known", "push-locked"});
  loops.push_back(what + "-protobuf");
  const std::vector<Sample> samples = run_loops(loops, size_bytes, effort, kEnvironment);
  std::vector<NamedSample> others = {{"boost pmr", samples[3]}};
  if (more) {
    others.push_back({"std::pmr, its type known", samples[4]});
    others.push_back({"ours, locked", samples[5]});
  }
  others.push_back({"protobuf", samples.back()});
  const std::string name =
      (what == "push" ? "push " : "push and write ") + std::to_string(size_bytes) + " B";
  measurements.push_back(
      {"arena", name + ", the floor", "ns", samples[0], {{"hand-written bump", samples[1]}}, {}});
  measurements.push_back({"arena", name, "ns", samples[0], {{"std::pmr", samples[2]}}, others});
}

void measure_growth(const Effort& effort, std::vector<Measurement>& measurements) {
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto samples = run_loops({"grow-arena", "grow-touch"}, page_bytes, effort, kEnvironment);
  measurements.push_back({"arena",
                          "first growth, a page",
                          "ns",
                          samples[0],
                          {{"touching fresh memory", samples[1]}},
                          {}});
}

void measure_growth_in_region(const Effort& effort, std::vector<Measurement>& measurements) {
  const Daemon daemon;
  const auto page_bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto samples =
      run_loops({"grow-region", "grow-touch-only", "grow-region-and-back", "grow-touch"},
                page_bytes, effort, daemon.environment());
  measurements.push_back({"arena",
                          "first growth in a region, a page",
                          "ns",
                          samples[0],
                          {{"touching fresh memory", samples[1]}},
                          {{"ours, given back", samples[2]}, {"touching, unmapped", samples[3]}}});
}

void measure_scope(const Effort& effort, std::vector<Measurement>& measurements) {
  const auto samples = run_loops({"temp-arena", "push-arena"}, 16, effort, kEnvironment);
  const double allowed_ns = std::max(kLeastScopeNs, 2 * samples[1].median());
  measurements.push_back({"arena",
                          "scope begin and end",
                          "ns",
                          samples[0],
                          {{"2 ns or 2 pushes", Sample(allowed_ns)}},
                          {{"push", samples[1]}}});
}

void measure_array(const Effort& effort, std::vector<Measurement>& measurements) {
  const std::size_t elements = effort.quick ? kQuickArrayElements : kArrayElements;
  auto samples = run_loops({"array-vlarray", "array-vector"}, elements, effort, kEnvironment, 1);
  for (Sample& sample : samples) sample = sample.scaled(1.0 / static_cast<double>(elements));
  measurements.push_back(
      {"arena",
       "VlArray push_back of " + std::string(effort.quick ? "10^6" : "10^8") + " ints",
       "ns",
       samples[0],
       {{"std::vector", samples[1]}},
       {}});
}

}  // namespace

std::vector<Measurement> measure_arena(const Effort& effort) {
  std::vector<Measurement> measurements;
  for (const std::size_t size_bytes : {16UL, 64UL}) {
    measure_pushes("push", size_bytes, effort, measurements);
  }
  for (const std::size_t size_bytes : {16UL, 64UL}) {
    measure_pushes("write", size_bytes, effort, measurements);
  }
  measure_shared_pushes(effort, measurements);
  measure_growth(effort, measurements);
  measure_growth_in_region(effort, measurements);
  measure_scope(effort, measurements);
  measure_array(effort, measurements);
  return measurements;
}

}  // namespace allot::bench
