// lock_before(): takes a mutex, or gives up at a deadline.
//
// For mutexes that may be held while the daemon is asked. One that is free is taken without a look
// at the clock.
#pragma once

#include <chrono>
#include <mutex>

#include "client/call_deadline.hpp"

namespace allot::detail {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ALLOT_LOCK_CLOCK std::chrono::system_clock  // clang 14 knows no pthread_mutex_clocklock
#endif
#endif
#ifndef ALLOT_LOCK_CLOCK
#define ALLOT_LOCK_CLOCK std::chrono::steady_clock
#endif

/// A lock of `mutex`; one that owns nothing if `deadline` passed first.
[[nodiscard]] inline std::unique_lock<std::timed_mutex> lock_before(std::timed_mutex& mutex,
                                                                    CallDeadline& deadline) {
  std::unique_lock lock(mutex, std::try_to_lock);
  if (lock.owns_lock()) return lock;
  const auto left = deadline.at() - std::chrono::steady_clock::now();
  (void)lock.try_lock_until(ALLOT_LOCK_CLOCK::now() + left);
  return lock;
}

#undef ALLOT_LOCK_CLOCK

}  // namespace allot::detail
