// pair: allocate, write a byte, free; one size over and over.

#include "bench/heap/heaps.hpp"
#include "bench/heap/suite.hpp"

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  bench::Suite suite(argc, argv);
  for (const std::size_t size_bytes :
       {std::size_t{16}, std::size_t{64}, std::size_t{256}, std::size_t{1} << 10,
        std::size_t{8} << 10, std::size_t{64} << 10, std::size_t{1} << 20}) {
    suite.add(bench::PrivateHeaps{}, std::to_string(size_bytes), bench::Clock::kThread,
              [size_bytes]<class Heap>(benchmark::State& state, Heap& heap) {
                for (auto _ : state) heap.free(bench::take(heap, size_bytes), size_bytes);
                state.SetItemsProcessed(state.iterations());
              });
  }
  return suite.run();
}
