// cache-scratch: does an allocator let two threads share a line of memory?
//
// After E. Berger et al., "Hoard" (ASPLOS 2000). Two objects of 8 B are allocated side by side and
// given to two threads. Each frees the one it was given, and then, over and over, allocates one,
// writes it a thousand times and frees it. An allocator that hands the freed object out again to
// the same thread leaves both on one line. An item is one allocation with its writes.
#pragma once

#include "bench/heap/shapes/objects.hpp"

namespace allot::bench {

template <class Heap>
class CacheScratch {
 public:
  CacheScratch(Heap& heap, bool quick) : heap_(heap), items_(quick ? 10 : 1000) {}

  std::size_t run() {
    std::array<SizedBlock, kShapeThreads> given;
    for (SizedBlock& object : given) object = take_sized(heap_, kSizeBytes);
    in_threads([&](std::size_t i) {
      give_back(heap_, given[i]);
      for (std::size_t item = 0; item < items_; ++item) {
        const SizedBlock object = take_sized(heap_, kSizeBytes);
        auto* const word = static_cast<volatile std::uint64_t*>(object.block);
        for (std::uint64_t write = 0; write < kWrites; ++write) *word = write;
        give_back(heap_, object);
      }
    });
    return items_;
  }

 private:
  static constexpr std::size_t kSizeBytes = 8;
  static constexpr std::uint64_t kWrites = 1000;

  Heap& heap_;
  std::size_t items_;
};

}  // namespace allot::bench
