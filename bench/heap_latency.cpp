// latency: percentiles of single operations. Each figure is the median of its rounds; the clock's
// own cost is beside, and part of each.

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "bench/family.hpp"
#include "bench/heap_rounds.hpp"

namespace allot::bench {

namespace {

constexpr std::array<std::pair<const char*, const char*>, 4> kPercentiles = {
    {{"p50", "p50"}, {"p99", "p99"}, {"p99.9", "p999"}, {"max", "max"}}};

}  // namespace

std::vector<Measurement> measure_latency(const Effort& effort) {
  const HeapProgram program("latency", effort);
  std::vector<HeapContender> heaps = heaps_for_one_thread();
  std::erase_if(heaps, [](const HeapContender& heap) { return heap.name == kSequentialFit; });
  std::vector<Measurement> measurements;
  for (const std::string case_name : {"pair-64", "churn"}) {
    const auto samples = run_heaps(program, turns_of(heaps, {case_name}), effort);
    for (const std::string operation : {"allocate", "free"}) {
      for (const auto& [shown, counter] : kPercentiles) {
        const std::string name =
            (case_name == "churn" ? "churn, " : "64 B, ") + operation + ' ' + shown;
        measurements.push_back(
            as_measurement({"latency", name, "ns", case_name, operation + '_' + counter}, samples));
        measurements.back().beside.push_back({"clock", samples.front().of(case_name, "clock_ns")});
      }
    }
  }
  return measurements;
}

}  // namespace allot::bench
