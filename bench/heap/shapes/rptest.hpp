// rptest: threads that replace random parts of many objects of widely mixed sizes, and free each
// other's.
//
// After what is said of M. Jansson's rpmalloc-benchmark. Each thread has 2,000 objects of 16 to
// 8,000 B, small ones more often. A loop frees 100 of them at random and allocates as many; every
// fourth loop it leaves the 100 to the other thread instead, and frees what that one left. An item
// is an allocation.
#pragma once

#include "bench/heap/shapes/objects.hpp"

namespace allot::bench {

template <class Heap>
class Rptest {
 public:
  Rptest(Heap& heap, bool quick) : heap_(heap), loops_(quick ? 8 : 400) {
    for (auto& objects : sets_) {
      for (std::size_t i = 0; i < kObjects; ++i)
        objects.push_back(take_sized(heap_, draw(random_)));
    }
  }

  std::size_t run() {
    ++runs_;
    in_threads([this](std::size_t i) { work(sets_[i], Random(runs_ * kShapeThreads + i)); });
    return loops_ * kReplaced;
  }

 private:
  static constexpr std::size_t kObjects = 2000;
  static constexpr std::size_t kReplaced = 100;

  static std::size_t draw(Random& random) {
    return 16 + std::min(random.below(7985), random.below(7985));
  }

  void work(std::vector<SizedBlock>& objects, Random random) {
    std::vector<SizedBlock> freed;
    for (std::size_t loop = 0; loop < loops_; ++loop) {
      freed.clear();
      for (std::size_t i = 0; i < kReplaced; ++i) {
        SizedBlock& object = objects[random.below(kObjects)];
        freed.push_back(object);
        object = take_sized(heap_, draw(random));
      }
      if (loop % 4 == 3) freed = mailbox_.exchange(std::move(freed));
      for (const SizedBlock& object : freed) give_back(heap_, object);
    }
  }

  Heap& heap_;
  std::size_t loops_;
  std::uint64_t runs_ = 0;
  Random random_{11};
  std::array<std::vector<SizedBlock>, kShapeThreads> sets_;
  Mailbox mailbox_;
};

}  // namespace allot::bench
