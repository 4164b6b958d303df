// churn: of 100,000 live objects of 16 to 4,096 B one at random is replaced. An item is one free
// and one allocate.
//
// Filling up, and the churn after it that brings about the usual holes, do not count.

#include "bench/heap/heaps.hpp"
#include "bench/heap/live_set.hpp"
#include "bench/heap/suite.hpp"

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  bench::Suite suite(argc, argv);
  suite.add(bench::PrivateHeaps{}, "log-normal", bench::Clock::kThread,
            [quick = suite.quick()]<class Heap>(benchmark::State& state, Heap& heap) {
              static bench::LiveSet<Heap> live(heap);
              static const bool kSettled = (live.settle(quick ? 1000 : 1'000'000), true);
              benchmark::DoNotOptimize(kSettled);
              for (auto _ : state) live.replace();
              state.SetItemsProcessed(state.iterations());
            });
  return suite.run();
}
