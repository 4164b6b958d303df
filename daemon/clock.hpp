// The two clocks: what time it is for people, and how much time has passed.
//
// Used by the adapters; the core is told the time.
#pragma once

#include <chrono>
#include <cstdint>

namespace allot::daemon {

[[nodiscard]] inline std::uint64_t unix_now_ns() noexcept {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

[[nodiscard]] inline std::uint64_t monotonic_now_ns() noexcept {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

}  // namespace allot::daemon
