// xmalloc: one thread only allocates, the other only frees.
//
// After C. Lever and D. Boreham, "malloc() performance in a multithreaded Linux environment"
// (USENIX 2000). Batches of 64 objects of 16 to 512 B go through a queue under a lock. An item is
// an object.
#pragma once

#include <condition_variable>

#include "bench/heap/shapes/objects.hpp"

namespace allot::bench {

template <class Heap>
class Xmalloc {
 public:
  Xmalloc(Heap& heap, bool quick) : heap_(heap), batches_(quick ? 16 : 1024) {}

  std::size_t run() {
    in_threads([this](std::size_t i) { i == 0 ? allocate_all() : free_all(); });
    return batches_ * kBatch;
  }

 private:
  static constexpr std::size_t kBatch = 64;
  static constexpr std::size_t kWaiting = 16;  // batches
  using Batch = std::array<SizedBlock, kBatch>;

  void allocate_all() {
    Random random(7);
    for (std::size_t i = 0; i < batches_; ++i) {
      Batch batch;
      for (SizedBlock& object : batch) object = take_sized(heap_, 16 + random.below(497));
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return put_ - taken_ < kWaiting; });
      queue_[put_++ % kWaiting] = batch;
      changed_.notify_one();
    }
  }

  void free_all() {
    for (std::size_t i = 0; i < batches_; ++i) {
      Batch batch;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return put_ != taken_; });
        batch = queue_[taken_++ % kWaiting];
        changed_.notify_one();
      }
      for (const SizedBlock& object : batch) give_back(heap_, object);
    }
  }

  Heap& heap_;
  std::size_t batches_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t put_ = 0;
  std::size_t taken_ = 0;
  std::array<Batch, kWaiting> queue_{};
};

}  // namespace allot::bench
