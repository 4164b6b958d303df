// at-once: pairs of 64 B while another thread or process does the same on the other processor, and
// while nobody does. Time is the processor time of this side.

#include <atomic>

#include "bench/heap/companion.hpp"
#include "bench/heap/heaps.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

namespace {

constexpr std::size_t kSizeBytes = 64;

template <class Heap>
[[gnu::always_inline]] inline void run_pair(Heap& heap) {
  heap.free(take(heap, kSizeBytes), kSizeBytes);
}

/// The same loop elsewhere, for as long as this object lives.
template <class Heap>
class Neighbour {
 public:
  Neighbour(Heap& heap, Kind kind) : heap_(heap), kind_(kind) {
    while (!flags_->started.load(std::memory_order_acquire)) {
      if (flags_->failed.load(std::memory_order_acquire)) {
        throw std::runtime_error("the neighbour failed");
      }
      sched_yield();
    }
  }
  Neighbour(const Neighbour&) = delete;
  Neighbour& operator=(const Neighbour&) = delete;
  ~Neighbour() { flags_->stop.store(true, std::memory_order_relaxed); }

 private:
  struct Flags {
    alignas(64) std::atomic<bool> started{false};
    std::atomic<bool> failed{false};
    alignas(64) std::atomic<bool> stop{false};
  };

  void work() {
    if (kind_ == Kind::kThread) {
      run_pairs(heap_);
      return;
    }
    if constexpr (requires { heap_.after_fork(); }) {
      auto&& heap = heap_.after_fork();
      run_pairs(heap);
    }
  }

  template <class Own>
  void run_pairs(Own& heap) {
    constexpr int kBetweenLooks = 100;
    run_pair(heap);
    flags_->started.store(true, std::memory_order_release);
    while (!flags_->stop.load(std::memory_order_relaxed)) {
      for (int i = 0; i < kBetweenLooks; ++i) run_pair(heap);
    }
  }

  Heap& heap_;
  Kind kind_;
  Shared<Flags> flags_;
  Companion companion_{kind_, [this] { work(); },
                       [this] { flags_->failed.store(true, std::memory_order_release); }};
};

auto body(Kind kind) {
  return [kind]<class Heap>(benchmark::State& state, Heap& heap) {
    const Neighbour<Heap> neighbour(heap, kind);
    for (auto _ : state) run_pair(heap);
    state.SetItemsProcessed(state.iterations());
  };
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  using InProcesses = bench::HeapList<bench::MallocHeap, bench::AllotHeap, bench::AllotInlineHeap,
                                      bench::BestFitHeap, bench::SequentialFitHeap>;
  bench::Suite suite(argc, argv);
  suite.add(bench::ThreadHeaps{}, "one", bench::Clock::kThread,
            []<class Heap>(benchmark::State& state, Heap& heap) {
              bench::pin_to_processor(0);
              for (auto _ : state) bench::run_pair(heap);
              state.SetItemsProcessed(state.iterations());
            });
  suite.add(bench::ThreadHeaps{}, "threads", bench::Clock::kThread,
            bench::body(bench::Kind::kThread));
  suite.add(InProcesses{}, "processes", bench::Clock::kThread, bench::body(bench::Kind::kProcess));
  return suite.run();
}
