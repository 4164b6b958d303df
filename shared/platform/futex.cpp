#include "shared/platform/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace allot::platform {

FutexWait futex_wait(const std::uint32_t* word, std::uint32_t expected,
                     std::chrono::nanoseconds timeout) noexcept {
  // The kernel refuses a negative time at once; a caller in a loop would spin on that.
  timeout = std::max(timeout, std::chrono::nanoseconds::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  timespec limit{};
  limit.tv_sec = seconds.count();
  limit.tv_nsec = (timeout - seconds).count();
  // Not FUTEX_PRIVATE: the word is in memory shared between processes.
  const long result = ::syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, nullptr, 0);
  return result == -1 && errno == ETIMEDOUT ? FutexWait::kTimedOut : FutexWait::kChanged;
}

int futex_wake(const std::uint32_t* word, int count) noexcept {
  return static_cast<int>(::syscall(SYS_futex, word, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

}  // namespace allot::platform
