// Wait for a 32-bit word of shared memory to change, and wake those who wait.
//
// Serves processes that meet in a region (examples, tests). The allocator itself never waits on a
// word that another process writes (invariant I6).
#pragma once

#include <chrono>
#include <cstdint>

namespace allot::platform {

enum class FutexWait : std::uint8_t { kChanged, kTimedOut };

/// Sleeps while `*word == expected`, at most `timeout` (a negative one counts as none). Works
/// across processes and across mappings at different addresses. May return kChanged without a
/// change: check the word again.
[[nodiscard]] FutexWait futex_wait(const std::uint32_t* word, std::uint32_t expected,
                                   std::chrono::nanoseconds timeout) noexcept;

/// Wakes up to `count` waiters of `word`; returns how many.
int futex_wake(const std::uint32_t* word, int count) noexcept;

}  // namespace allot::platform
