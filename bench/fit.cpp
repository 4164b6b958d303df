// fit: a FitHeap over a private buffer with 10,000 live blocks of mixed sizes, beside
// Boost.Interprocess's rbtree_best_fit over such a buffer, which keeps its tags among the payload,
// and glibc's malloc.
//
// Contenders run as in `pair`: processes of their own, a new one each round, taking turns. No
// daemon.

#include <string>
#include <vector>

#include "bench/family.hpp"
#include "bench/turns.hpp"

namespace allot::bench {

namespace {

void measure_mix(const std::string& name, std::size_t most_bytes, const Effort& effort,
                 std::vector<Measurement>& measurements) {
  const std::vector<Sample> samples = run_loops({"mixed-fit", "mixed-interprocess", "mixed-malloc"},
                                                most_bytes, effort, "ALLOT_BENCH=fit");
  measurements.push_back(
      {"fit", name, "ns", samples[0], {{"boost rbtree_best_fit", samples[1]}}, {}});
  measurements.push_back({"fit", name + ", malloc", "ns", samples[0], {{"glibc", samples[2]}}, {}});
}

}  // namespace

std::vector<Measurement> measure_fit(const Effort& effort) {
  std::vector<Measurement> measurements;
  measure_mix("16 B to 64 KiB", std::size_t{64} << 10, effort, measurements);
  measure_mix("16 B to 1 KiB", std::size_t{1} << 10, effort, measurements);
  return measurements;
}

}  // namespace allot::bench
