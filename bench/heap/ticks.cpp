#include "bench/heap/ticks.hpp"

#include <algorithm>

namespace allot::bench {

double nanoseconds_of_tick() {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  const std::uint64_t start_ticks = ticks();
  while (Clock::now() - start < std::chrono::milliseconds{20}) {
  }
  const std::uint64_t end_ticks = ticks();
  const std::chrono::duration<double, std::nano> elapsed = Clock::now() - start;
  return elapsed.count() / static_cast<double>(end_ticks - start_ticks);
}

double overhead_ns(double tick_ns) {
  constexpr std::size_t kReadings = 10'000;
  Latencies nothing(kReadings);
  for (std::size_t i = 0; i < kReadings; ++i) {
    const std::uint64_t start = ticks();
    nothing.add(ticks() - start);
  }
  nothing.sort();
  return nothing.at(0.5) * tick_ns;
}

void Latencies::sort() { std::sort(ticks_.begin(), ticks_.end()); }

double Latencies::at(double part) const {
  if (ticks_.empty()) return 0;
  const auto index = static_cast<std::size_t>(part * static_cast<double>(ticks_.size() - 1));
  return ticks_[index];
}

}  // namespace allot::bench
