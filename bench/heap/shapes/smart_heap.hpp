// sh6 and sh8: batches freed in order or in reverse; in sh8 by two threads that swap batches.
//
// After what is said of MicroQuill's SmartHeap benchmarks sh6bench and sh8bench. A batch is 500
// objects of 1 to 1,000 B, small ones more often; 8 batches are live; the oldest makes room for the
// next, every second one freed last object first, the others first object first. In sh8 every
// fourth batch is left to the other thread. An item is an object.
#pragma once

#include "bench/heap/shapes/objects.hpp"

namespace allot::bench {

/// What one thread does. `mailbox` may be nullptr: nothing is left to anybody.
template <class Heap>
class BatchesInOrder {
 public:
  static constexpr std::size_t kBatch = 500;

  BatchesInOrder(Heap& heap, std::uint64_t seed) : heap_(heap), random_(seed) {}

  void run(std::size_t batches, Mailbox* mailbox) {
    for (std::size_t i = 0; i < batches; ++i) {
      std::vector<SizedBlock>& batch = live_[at_ % kLive];
      if (mailbox != nullptr && at_ % 4 == 3) batch = mailbox->exchange(std::move(batch));
      free_all(batch);
      for (std::size_t object = 0; object < kBatch; ++object) {
        batch.push_back(take_sized(heap_, draw()));
      }
      ++at_;
    }
  }

  void free_all(std::vector<SizedBlock>& batch) {
    if (at_ % 2 == 0) {
      for (const SizedBlock& object : batch) give_back(heap_, object);
    } else {
      for (auto object = batch.rbegin(); object != batch.rend(); ++object) {
        give_back(heap_, *object);
      }
    }
    batch.clear();
  }

 private:
  static constexpr std::size_t kLive = 8;

  // 1 .. 1,000: as small as the smallest of three.
  std::size_t draw() {
    return 1 + std::min({random_.below(1000), random_.below(1000), random_.below(1000)});
  }

  Heap& heap_;
  Random random_;
  std::uint64_t at_ = 0;
  std::array<std::vector<SizedBlock>, kLive> live_;
};

template <class Heap>
class Sh6 {
 public:
  Sh6(Heap& heap, bool quick) : batches_(heap, 8), count_(quick ? 8 : 100) {}
  std::size_t run() {
    batches_.run(count_, nullptr);
    return count_ * BatchesInOrder<Heap>::kBatch;
  }

 private:
  BatchesInOrder<Heap> batches_;
  std::size_t count_;
};

template <class Heap>
class Sh8 {
 public:
  Sh8(Heap& heap, bool quick) : threads_{{{heap, 9}, {heap, 10}}}, count_(quick ? 8 : 100) {}
  std::size_t run() {
    in_threads([this](std::size_t i) { threads_[i].run(count_, &mailbox_); });
    return count_ * BatchesInOrder<Heap>::kBatch;
  }

 private:
  std::array<BatchesInOrder<Heap>, kShapeThreads> threads_;
  std::size_t count_;
  Mailbox mailbox_;
};

}  // namespace allot::bench
