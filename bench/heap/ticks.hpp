// Ticks: the processor's time stamps, for the time of a single operation.
//
// Where there is none that can be read, nanoseconds of the monotonic clock. A reading is fenced on
// both sides, so that no instruction of the operation is left out and none of the next is let in;
// overhead_ns() says what that costs, and is part of each time.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace allot::bench {

[[nodiscard, gnu::always_inline]] inline std::uint64_t ticks() noexcept {
#if defined(__x86_64__)
  _mm_lfence();
  const std::uint64_t now = __rdtsc();
  _mm_lfence();
  return now;
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds{1});
#endif
}

/// Nanoseconds of a tick, by the monotonic clock.
[[nodiscard]] double nanoseconds_of_tick();

/// What two readings with nothing in between differ by, at the median.
[[nodiscard]] double overhead_ns(double tick_ns);

/// Times of one kind of operation, in ticks.
class Latencies {
 public:
  explicit Latencies(std::size_t most) { ticks_.reserve(most); }
  /// No more than `most` times.
  [[gnu::always_inline]] void add(std::uint64_t ticks) {
    ticks_.push_back(static_cast<std::uint32_t>(ticks < kMost ? ticks : kMost));
  }
  /// Call before at().
  void sort();
  /// The time that a part of all, 0 .. 1, do not exceed.
  [[nodiscard]] double at(double part) const;

 private:
  static constexpr std::uint64_t kMost = 0xFFFFFFFF;
  std::vector<std::uint32_t> ticks_;
};

}  // namespace allot::bench
