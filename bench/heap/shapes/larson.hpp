// larson: a server whose threads come and go while their objects stay.
//
// After P. Larson and M. Krishnan, "Memory allocation for long-running server applications" (ISMM
// 1998). Each thread replaces objects of 8 to 1,000 B at random among 5,000; when it ends, its
// objects are left to a new thread, which goes on, and so frees what another has allocated. An item
// is a replacement.
#pragma once

#include "bench/heap/shapes/objects.hpp"

namespace allot::bench {

template <class Heap>
class Larson {
 public:
  Larson(Heap& heap, bool quick) : heap_(heap), replacements_(quick ? 1000 : 50'000) {
    for (auto& objects : sets_) {
      for (std::size_t i = 0; i < kObjects; ++i)
        objects.push_back(take_sized(heap_, draw(random_)));
    }
  }

  std::size_t run() {
    ++generation_;
    in_threads([this](std::size_t i) { serve(sets_[i], Random(generation_ * kShapeThreads + i)); });
    return replacements_;
  }

 private:
  static constexpr std::size_t kObjects = 5000;

  static std::size_t draw(Random& random) { return 8 + random.below(993); }

  void serve(std::vector<SizedBlock>& objects, Random random) {
    for (std::size_t i = 0; i < replacements_; ++i) {
      SizedBlock& object = objects[random.below(kObjects)];
      give_back(heap_, object);
      object = take_sized(heap_, draw(random));
    }
  }

  Heap& heap_;
  std::size_t replacements_;
  std::uint64_t generation_ = 0;
  Random random_{6};
  std::array<std::vector<SizedBlock>, kShapeThreads> sets_;
};

}  // namespace allot::bench
