// A library to preload: calls of the kernel that answer as tests/support/machine_changes.hpp says.
//
// Clocks that are ahead are so for whoever reads them and for whoever waits until an absolute time. A
// timer that was set before its clock jumped goes off when it would have, as after a suspend.
// Used by the programs of process tests; it stands for no more calls than these make.

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>

#include "tests/support/machine_changes.hpp"
#include "tests/support/seed.hpp"

namespace {

using allot::test::MachineChanges;

constexpr std::int64_t kSecond = 1'000'000'000;

MachineChanges* find_changes() noexcept {
  const char* const name = std::getenv(allot::test::kMachineChangesVariable);
  if (name == nullptr) return nullptr;
  const int file = ::open(name, O_RDWR | O_CLOEXEC);
  void* const place =
      ::mmap(nullptr, sizeof(MachineChanges), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  return place == MAP_FAILED ? nullptr : static_cast<MachineChanges*>(place);
}

MachineChanges* changes() noexcept {
  static MachineChanges* found = find_changes();
  return found;
}

std::int64_t ahead_ns(clockid_t clock) noexcept {
  MachineChanges* const all = changes();
  if (all == nullptr) return 0;
  if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return all->monotonic_ahead_ns;
  const std::uint64_t spread = all->realtime_spread_s;
  if (spread == 0) return 0;
  allot::test::Random random(all->looks);
  return (static_cast<std::int64_t>(random.below(2 * spread + 1)) -
          static_cast<std::int64_t>(spread)) *
         kSecond;
}

timespec moved(const timespec& time, std::int64_t by_ns) noexcept {
  const std::int64_t sum = time.tv_sec * kSecond + time.tv_nsec + by_ns;
  timespec out{};
  if (sum <= 0) {
    out.tv_nsec = 1;  // zero would be no time at all
  } else {
    out.tv_sec = sum / kSecond;
    out.tv_nsec = sum % kSecond;
  }
  return out;
}

template <class Function>
Function next_of(const char* name) noexcept {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

// Whether a commit is one of those that fail.
bool commit_fails(MachineChanges& all) noexcept {
  std::int64_t left = all.commits_left;
  while (left > 0) {
    if (all.commits_left.compare_exchange_weak(left, left - 1)) return false;
  }
  return left == 0;
}

}  // namespace

extern "C" {

// Parameters have the names of the headers.
int clock_gettime(clockid_t clock_id, timespec* tp) noexcept {
  const long failed = ::syscall(SYS_clock_gettime, clock_id, tp);
  const std::int64_t ahead =
      clock_id == CLOCK_PROCESS_CPUTIME_ID || clock_id == CLOCK_THREAD_CPUTIME_ID
          ? 0
          : ahead_ns(clock_id);
  if (failed == 0 && ahead != 0) {
    *tp = moved(*tp, ahead);
    ++changes()->looks;
  }
  return static_cast<int>(failed);
}

int timerfd_settime(int ufd, int flags, const itimerspec* utmr, itimerspec* otmr) noexcept {
  itimerspec when = *utmr;
  const bool is_absolute = (flags & TFD_TIMER_ABSTIME) != 0;
  if (is_absolute && (when.it_value.tv_sec != 0 || when.it_value.tv_nsec != 0)) {
    when.it_value = moved(when.it_value, -ahead_ns(CLOCK_MONOTONIC));
  }
  return static_cast<int>(::syscall(SYS_timerfd_settime, ufd, flags, &when, otmr));
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
int pthread_cond_clockwait(pthread_cond_t* condition, pthread_mutex_t* mutex, clockid_t clock,
                           const timespec* until) {
  static auto next = next_of<decltype(&pthread_cond_clockwait)>("pthread_cond_clockwait");
  const timespec when = moved(*until, -ahead_ns(clock));
  return next(condition, mutex, clock, &when);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
int pthread_mutex_clocklock(pthread_mutex_t* mutex, clockid_t clock,
                            const timespec* until) noexcept {
  static auto next = next_of<decltype(&pthread_mutex_clocklock)>("pthread_mutex_clocklock");
  const timespec when = moved(*until, -ahead_ns(clock));
  return next(mutex, clock, &when);
}

int fallocate(int fd, int mode, off_t offset, off_t len) {
  MachineChanges* const all = changes();
  int error = 0;
  if (all != nullptr && mode == 0 && commit_fails(*all)) error = all->commit_error;
  if (all != nullptr && mode != 0) error = all->punch_error;
  if (error != 0) {
    ++all->failures;
    errno = error;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, len));
}

}  // extern "C"
