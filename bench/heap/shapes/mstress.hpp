// mstress: phases of threads with unequal work, whose objects migrate and may outlive them.
//
// After what D. Leijen says of his test of that name. In each phase new threads allocate objects in
// powers of two (8 B to 1 KiB, now and then to 32 KiB), keep some, free some soon, and swap some
// with what lies in a field of 1,000 places that all share. When a phase ends a thread frees what
// it kept; what lies in the field stays for the next. The second thread does half of the first
// one's work. An item is an allocation of the first.
#pragma once

#include <atomic>

#include "bench/heap/shapes/objects.hpp"

namespace allot::bench {

template <class Heap>
class Mstress {
 public:
  Mstress(Heap& heap, bool quick) : heap_(heap), allocations_(quick ? 1000 : 50'000) {}

  std::size_t run() {
    ++phase_;
    in_threads([this](std::size_t i) {
      work(allocations_ / (i + 1), Random(phase_ * kShapeThreads + i));
    });
    return allocations_;
  }

 private:
  static constexpr std::size_t kPlaces = 1000;
  static constexpr unsigned kSizeShift = 48;  // a pointer of user space leaves the bits above

  struct Place {
    std::atomic<std::uint64_t> word{0};
  };

  static unsigned draw_log2(Random& random) {
    const std::size_t most = random.below(100) == 0 ? 13 : 8;
    return static_cast<unsigned>(3 + random.below(most));
  }

  std::uint64_t take_one(Random& random) {
    const std::uint64_t log2 = draw_log2(random);
    void* const block = take(heap_, std::size_t{1} << log2);
    return reinterpret_cast<std::uintptr_t>(block) | log2 << kSizeShift;
  }

  void give_one(std::uint64_t word) {
    if (word == 0) return;
    const std::uint64_t address = word & ((std::uint64_t{1} << kSizeShift) - 1);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a packed pointer
    heap_.free(reinterpret_cast<void*>(address), std::size_t{1} << (word >> kSizeShift));
  }

  void work(std::size_t allocations, Random random) {
    std::vector<std::uint64_t> kept;
    for (std::size_t i = 0; i < allocations; ++i) {
      const std::uint64_t object = take_one(random);
      const std::size_t chance = random.below(8);
      if (chance == 0) {
        give_one(places_[random.below(kPlaces)].word.exchange(object, std::memory_order_acq_rel));
      } else if (chance <= 3 || kept.empty()) {
        kept.push_back(object);
      } else if (chance <= 5) {
        give_one(object);
      } else {
        std::uint64_t& other = kept[random.below(kept.size())];
        give_one(other);
        other = object;
      }
    }
    for (const std::uint64_t object : kept) give_one(object);
  }

  Heap& heap_;
  std::size_t allocations_;
  std::uint64_t phase_ = 0;
  std::array<Place, kPlaces> places_;
};

}  // namespace allot::bench
