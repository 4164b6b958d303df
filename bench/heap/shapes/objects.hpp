// What the shapes have in common: objects that know their size, threads on processors of their own,
// and a place where one thread leaves something for another.
//
// A shape is a class template with one parameter, the heap's class. It is made once in a process,
// and `run()` is an iteration; it returns how many items that was. `quick` shortens it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "bench/heap/companion.hpp"
#include "bench/heap/random.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

inline constexpr std::size_t kShapeThreads = 2;

struct SizedBlock {
  void* block = nullptr;
  std::size_t size_bytes = 0;
};

template <class Heap>
[[gnu::always_inline]] inline SizedBlock take_sized(Heap& heap, std::size_t size_bytes) {
  return {take(heap, size_bytes), size_bytes};
}

template <class Heap>
[[gnu::always_inline]] inline void give_back(Heap& heap, const SizedBlock& object) {
  heap.free(object.block, object.size_bytes);
}

/// Runs work(0), work(1), ... in new threads, each on its processor, and waits for them. An
/// exception ends the program.
template <class Work>
void in_threads(Work work) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kShapeThreads; ++i) {
    threads.emplace_back([&work, i]() noexcept {
      pin_to_processor(i);
      work(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

/// A list of blocks that one thread leaves and another takes; one at a time.
class Mailbox {
 public:
  /// Leaves `objects` and takes what was there.
  [[nodiscard]] std::vector<SizedBlock> exchange(std::vector<SizedBlock> objects) {
    const std::scoped_lock lock(mutex_);
    std::swap(objects, objects_);
    return objects;
  }

 private:
  std::mutex mutex_;
  std::vector<SizedBlock> objects_;
};

}  // namespace allot::bench
