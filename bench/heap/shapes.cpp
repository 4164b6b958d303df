// shapes: what public suites of allocators do, written anew from their descriptions.
//
// Those with threads have two of them, and elapsed time over the items of one; sh6 has one, and its
// processor time.

#include "bench/heap/heaps.hpp"
#include "bench/heap/shapes/cache_scratch.hpp"
#include "bench/heap/shapes/larson.hpp"
#include "bench/heap/shapes/mstress.hpp"
#include "bench/heap/shapes/rptest.hpp"
#include "bench/heap/shapes/smart_heap.hpp"
#include "bench/heap/shapes/xmalloc.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

namespace {

template <template <class> class Shape>
auto body(const Suite& suite) {
  return [quick = suite.quick()]<class Heap>(benchmark::State& state, Heap& heap) {
    static Shape<Heap> shape(heap, quick);
    std::size_t items = 0;
    for (auto _ : state) items += shape.run();
    state.SetItemsProcessed(static_cast<std::int64_t>(items));
  };
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  using bench::Clock;
  bench::Suite suite(argc, argv);
  const bench::ThreadHeaps threads;
  // The synchronized pool takes tens of microseconds for a block of another thread.
  using FreeingHeaps = bench::HeapList<bench::MallocHeap, bench::AllotHeap, bench::AllotInlineHeap,
                                       bench::BestFitHeap, bench::SequentialFitHeap>;
  suite.add(threads, "larson", Clock::kElapsed, bench::body<bench::Larson>(suite));
  suite.add(FreeingHeaps{}, "xmalloc", Clock::kElapsed, bench::body<bench::Xmalloc>(suite));
  suite.add(threads, "cache-scratch", Clock::kElapsed, bench::body<bench::CacheScratch>(suite));
  suite.add(bench::PrivateHeaps{}, "sh6", Clock::kThread, bench::body<bench::Sh6>(suite));
  suite.add(threads, "sh8", Clock::kElapsed, bench::body<bench::Sh8>(suite));
  suite.add(threads, "mstress", Clock::kElapsed, bench::body<bench::Mstress>(suite));
  suite.add(threads, "rptest", Clock::kElapsed, bench::body<bench::Rptest>(suite));
  return suite.run();
}
