// Suite: what the programs of bench/heap/ have in common: one Google Benchmark for each heap and
// case.
//
// Each program measures one family. A benchmark is named HEAP/CASE; its figure is the time of an
// item, which Google Benchmark reports as items_per_second, or counters of its own. The programs
// can be run by hand; allot_bench runs one benchmark in a process at a time, preloads the mallocs,
// and compares.
//
// A body is a lambda with one template parameter, the heap's class, and is called with the
// benchmark's state and a heap that lives as long as the program. Contenders see the same sizes
// and choices: bodies draw from random.hpp, seeded alike.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace allot::bench {

template <class... Heaps>
struct HeapList {};

/// Makes the compiler believe that somebody reads the block and all memory.
[[gnu::always_inline]] inline void escape(void* block) {
  asm volatile("" : : "r"(block) : "memory");
}

/// Allocates a block and writes its first byte.
template <class Heap>
[[gnu::always_inline]] inline void* take(Heap& heap, std::size_t size_bytes) {
  void* const block = heap.allocate(size_bytes);
  if (block == nullptr) [[unlikely]]
    throw std::runtime_error("an allocation failed");
  *static_cast<unsigned char*>(block) = 1;
  escape(block);
  return block;
}

/// How the time of a benchmark is measured.
enum class Clock {
  kThread,   // processor time of the thread that runs the body
  kElapsed,  // for bodies with several threads or processes
  kManual,   // the body says
  kOnce,     // elapsed, and the body runs once
};

class Suite {
 public:
  /// Takes --quick from the arguments; the rest is Google Benchmark's.
  Suite(int& argc, char** argv);

  /// Work so short that it shows no more than that it runs.
  [[nodiscard]] bool quick() const noexcept { return quick_; }

  template <class... Heaps, class Body>
  void add(HeapList<Heaps...> /*heaps*/, const std::string& case_name, Clock clock, Body body) {
    (add_one(Heaps::kName + ("/" + case_name), clock,
             [body](benchmark::State& state) {
               static Heaps heap;
               body.template operator()<Heaps>(state, heap);
             }),
     ...);
  }

  /// Runs what the arguments ask for; the exit status.
  [[nodiscard]] int run();

 private:
  static void add_one(const std::string& name, Clock clock,
                      const std::function<void(benchmark::State&)>& function);

  int& argc_;
  char** argv_;
  bool quick_ = false;
};

}  // namespace allot::bench
