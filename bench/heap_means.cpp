// pair, batch, churn and shapes: families whose figure is the time of an item, of each heap.
//
// Each contender runs in processes of its own, a new one each round; a round visits all of them and
// begins with another one each time, so that what the machine does meanwhile meets all alike. The
// mallocs are Debian's, preloaded into a program that calls malloc and free; ours is called the
// same way, through the public API ("ours"), and compiled into the loop ("inlined").

#include <stdexcept>
#include <string>
#include <vector>

#include "bench/family.hpp"
#include "bench/heap_rounds.hpp"
#include "bench/processors.hpp"

namespace allot::bench {

namespace {

constexpr std::size_t kMainSizeBytes = 64;

std::string name_of_size(std::size_t size_bytes) {
  if (size_bytes >= 1 << 20) return std::to_string(size_bytes >> 20) + " MiB";
  if (size_bytes > 1 << 10) return std::to_string(size_bytes >> 10) + " KiB";
  return std::to_string(size_bytes) + " B";
}

/// The same figures, compared with Boost.Interprocess only.
Measurement in_shared_memory(Measurement measurement) {
  measurement.case_name += ", shared memory";
  std::vector<NamedSample> kept;
  for (NamedSample& peer : measurement.peers) {
    if (peer.name == kBestFit)
      kept.push_back(std::move(peer));
    else if (peer.name == kSequentialFit)
      measurement.beside.push_back(std::move(peer));
  }
  measurement.peers = std::move(kept);
  return measurement;
}

}  // namespace

std::vector<Measurement> measure_pair(const Effort& effort) {
  const HeapProgram program("pair", effort);
  std::vector<Measurement> measurements;
  for (const std::size_t size_bytes :
       {16UL, kMainSizeBytes, 256UL, 1024UL, 8UL << 10, 64UL << 10, 1UL << 20}) {
    const std::string case_name = std::to_string(size_bytes);
    const auto samples = run_heaps(program, turns_of(heaps_for_one_thread(), {case_name}), effort);
    measurements.push_back(
        as_measurement({"pair", name_of_size(size_bytes), "ns", case_name}, samples));
    if (size_bytes == kMainSizeBytes) {
      measurements.push_back(in_shared_memory(measurements.back()));
    }
  }
  return measurements;
}

std::vector<Measurement> measure_batch(const Effort& effort) {
  const HeapProgram program("batch", effort);
  const auto samples = run_heaps(program, turns_of(heaps_for_one_thread(), {"mixed"}), effort);
  return {as_measurement({"batch", "1,000 of 16 to 1,024 B", "ns", "mixed"}, samples)};
}

std::vector<Measurement> measure_churn(const Effort& effort) {
  const HeapProgram program("churn", effort);
  const auto samples = run_heaps(program, turns_of(heaps_for_one_thread(), {"log-normal"}), effort);
  return {as_measurement({"churn", "100,000 of 16 to 4,096 B", "ns", "log-normal"}, samples)};
}

std::vector<Measurement> measure_shapes(const Effort& effort) {
  if (usable_processors().size() < 2) throw std::runtime_error("shapes needs two processors");
  const HeapProgram program("shapes", effort);
  std::vector<Measurement> measurements;
  for (const std::string shape :
       {"larson", "xmalloc", "cache-scratch", "sh6", "sh8", "mstress", "rptest"}) {
    auto heaps = shape == "sh6" ? heaps_for_one_thread() : heaps_for_threads();
    // Its pools take tens of microseconds to free another thread's block.
    if (shape == "xmalloc")
      std::erase_if(heaps, [](const auto& heap) { return heap.name == "std::pmr"; });
    const auto samples = run_heaps(program, turns_of(heaps, {shape}), effort);
    measurements.push_back(as_measurement({"shapes", shape, "ns", shape}, samples));
  }
  return measurements;
}

}  // namespace allot::bench
