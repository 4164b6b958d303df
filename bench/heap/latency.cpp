// latency: the time of each single allocate (with one byte written) and free, by time stamps.
//
// Counters are OPERATION_p50, _p99, _p999 and _max in ns, and clock_ns, the time stamps' own cost,
// which is part of each. simple_seq_fit is left out: a million steps would take minutes.

#include "bench/heap/heaps.hpp"
#include "bench/heap/live_set.hpp"
#include "bench/heap/suite.hpp"
#include "bench/heap/ticks.hpp"

namespace allot::bench {

namespace {

class Recorder {
 public:
  explicit Recorder(std::size_t steps) : allocates_(steps), frees_(steps) {}

  template <class Heap>
  [[gnu::always_inline]] void* allocate(Heap& heap, std::size_t size_bytes) {
    const std::uint64_t start = ticks();
    void* const block = take(heap, size_bytes);
    allocates_.add(ticks() - start);
    return block;
  }

  template <class Heap>
  [[gnu::always_inline]] void free(Heap& heap, void* block, std::size_t size_bytes) {
    const std::uint64_t start = ticks();
    heap.free(block, size_bytes);
    frees_.add(ticks() - start);
  }

  void report(benchmark::State& state) {
    const double tick_ns = nanoseconds_of_tick();
    state.counters["clock_ns"] = overhead_ns(tick_ns);
    report_one(state, "allocate", allocates_, tick_ns);
    report_one(state, "free", frees_, tick_ns);
  }

 private:
  static void report_one(benchmark::State& state, const std::string& name, Latencies& latencies,
                         double tick_ns) {
    latencies.sort();
    state.counters[name + "_p50"] = latencies.at(0.5) * tick_ns;
    state.counters[name + "_p99"] = latencies.at(0.99) * tick_ns;
    state.counters[name + "_p999"] = latencies.at(0.999) * tick_ns;
    state.counters[name + "_max"] = latencies.at(1) * tick_ns;
  }

  Latencies allocates_;
  Latencies frees_;
};

template <class Heap>
void time_pairs(benchmark::State& state, Heap& heap, std::size_t steps) {
  constexpr std::size_t kSizeBytes = 64;
  Recorder warm_up(steps / 10);
  for (std::size_t i = 0; i < steps / 10; ++i) {
    warm_up.free(heap, warm_up.allocate(heap, kSizeBytes), kSizeBytes);
  }
  Recorder recorder(steps);
  for (auto _ : state) {
    for (std::size_t i = 0; i < steps; ++i) {
      recorder.free(heap, recorder.allocate(heap, kSizeBytes), kSizeBytes);
    }
  }
  recorder.report(state);
}

template <class Heap>
void time_churn(benchmark::State& state, Heap& heap, std::size_t steps) {
  LiveSet<Heap> live(heap);
  live.settle(steps);
  Recorder recorder(steps);
  for (auto _ : state) {
    for (std::size_t i = 0; i < steps; ++i) {
      auto& object = live.choose();
      recorder.free(heap, object.block, object.size_bytes);
      object.size_bytes = live.draw_size();
      object.block = recorder.allocate(heap, object.size_bytes);
    }
  }
  recorder.report(state);
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  using Heaps = bench::HeapList<bench::MallocHeap, bench::AllotHeap, bench::AllotInlineHeap,
                                bench::PmrUnsynchronizedHeap, bench::BestFitHeap>;
  bench::Suite suite(argc, argv);
  const std::size_t steps = suite.quick() ? 10'000 : 1'000'000;
  suite.add(Heaps{}, "pair-64", bench::Clock::kOnce,
            [steps]<class Heap>(benchmark::State& state, Heap& heap) {
              bench::time_pairs(state, heap, steps);
            });
  suite.add(Heaps{}, "churn", bench::Clock::kOnce,
            [steps]<class Heap>(benchmark::State& state, Heap& heap) {
              bench::time_churn(state, heap, steps);
            });
  return suite.run();
}
