// LiveSet: 100,000 live objects of log-normal sizes, of which one at random is replaced, over and
// over.
//
// Used by churn, resident and latency: the same sizes and choices for every heap.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "bench/heap/random.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

template <class Heap>
class LiveSet {
 public:
  static constexpr std::size_t kObjects = 100'000;
  /// No heap is churned for longer: simple_seq_fit takes microseconds a step.
  static constexpr std::chrono::seconds kPatience{2};

  /// Its own arrays are touched here, so that what fill() adds to the process is the heap's.
  explicit LiveSet(Heap& heap) : heap_(heap), objects_(kObjects) {}

  void fill() {
    for (Object& object : objects_) place(object);
  }

  /// Frees one object and allocates another.
  [[gnu::always_inline]] void replace() {
    Object& object = choose();
    remove(object);
    place(object);
  }

  /// Fills up and churns, for at most `steps` or 500,000, until it has the usual holes.
  void settle(std::uint64_t steps) {
    fill();
    churn(std::min<std::uint64_t>(steps, 5 * kObjects));
  }

  /// Replaces `steps` objects, or as many as kPatience allows; how many.
  std::uint64_t churn(std::uint64_t steps) {
    constexpr std::uint64_t kBetweenLooks = 1000;
    const auto end = std::chrono::steady_clock::now() + kPatience;
    std::uint64_t done = 0;
    while (done < steps && (done % kBetweenLooks != 0 || std::chrono::steady_clock::now() < end)) {
      replace();
      ++done;
    }
    return done;
  }

  /// What the arrays of this class hold.
  static constexpr std::size_t kOwnBytes =
      kObjects * (sizeof(void*) + sizeof(std::size_t)) + sizeof(LogNormalSizes);
  /// What was asked for and is live.
  [[nodiscard]] std::uint64_t live_bytes() const {
    std::uint64_t bytes = 0;
    for (const Object& object : objects_) bytes += object.size_bytes;
    return bytes;
  }

  struct Object {
    void* block = nullptr;
    std::size_t size_bytes = 0;
  };

  [[nodiscard]] Object& choose() { return objects_[random_.below(kObjects)]; }
  [[nodiscard]] std::size_t draw_size() { return sizes_->draw(random_); }

 private:
  [[gnu::always_inline]] void remove(const Object& object) {
    heap_.free(object.block, object.size_bytes);
  }
  [[gnu::always_inline]] void place(Object& object) {
    object.size_bytes = draw_size();
    object.block = take(heap_, object.size_bytes);
  }

  Heap& heap_;
  std::vector<Object> objects_;
  std::unique_ptr<const LogNormalSizes> sizes_ = std::make_unique<LogNormalSizes>();
  Random random_{4};
};

}  // namespace allot::bench
