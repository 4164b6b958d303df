#include "tests/support/syscall_errors.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

namespace allot::test {

#if defined(__x86_64__)

namespace {

enum Errors : unsigned { kNoMemory = 1, kNoDescriptor = 2, kNoSpace = 4, kInterrupted = 8 };

struct Call {
  std::uint64_t number;
  const char* name;
  unsigned errors;
};

// Not here: close(), which does its work whatever it returns, and brk(), which returns no error.
constexpr auto kCalls = std::to_array<Call>({
    {SYS_accept4, "accept4", kNoMemory | kNoDescriptor | kInterrupted},
    {SYS_bind, "bind", kNoMemory | kNoSpace},
    {SYS_chmod, "chmod", kNoMemory},
    {SYS_clone, "clone", kNoMemory},
    {SYS_clone3, "clone3", kNoMemory},
    {SYS_connect, "connect", kNoMemory | kInterrupted},
    {SYS_epoll_create1, "epoll_create1", kNoMemory | kNoDescriptor},
    {SYS_epoll_ctl, "epoll_ctl", kNoMemory | kNoSpace},  // of EPOLL_CTL_ADD
    {SYS_epoll_wait, "epoll_wait", kInterrupted},
    {SYS_eventfd2, "eventfd2", kNoMemory | kNoDescriptor},
    {SYS_execve, "execve", kNoMemory | kNoDescriptor},
    {SYS_fallocate, "fallocate", kNoMemory | kNoSpace | kInterrupted},
    {SYS_fchmod, "fchmod", kNoMemory},
    {SYS_fcntl, "fcntl", kNoDescriptor},  // of F_DUPFD
    {SYS_flock, "flock", kNoMemory},
    {SYS_fstat, "fstat", kNoMemory},
    {SYS_ftruncate, "ftruncate", kNoMemory | kNoSpace},
    {SYS_getrandom, "getrandom", kInterrupted},
    {SYS_getsockopt, "getsockopt", kNoDescriptor},  // of SO_PEERPIDFD
    {SYS_lstat, "lstat", kNoMemory},
    {SYS_madvise, "madvise", kNoMemory},
    {SYS_memfd_create, "memfd_create", kNoMemory | kNoDescriptor},
    {SYS_mkdir, "mkdir", kNoMemory | kNoSpace},
    {SYS_mmap, "mmap", kNoMemory},
    {SYS_mprotect, "mprotect", kNoMemory},
    {SYS_mremap, "mremap", kNoMemory},
    {SYS_munmap, "munmap", kNoMemory},
    {SYS_newfstatat, "newfstatat", kNoMemory},
    {SYS_open, "open", kNoMemory | kNoDescriptor},
    {SYS_openat, "openat", kNoMemory | kNoDescriptor},
    {SYS_pidfd_open, "pidfd_open", kNoMemory | kNoDescriptor},
    {SYS_pipe2, "pipe2", kNoMemory | kNoDescriptor},
    {SYS_poll, "poll", kNoMemory | kInterrupted},
    {SYS_pread64, "pread64", kNoMemory | kInterrupted},
    {SYS_pwrite64, "pwrite64", kNoMemory | kNoSpace | kInterrupted},
    {SYS_read, "read", kNoMemory | kInterrupted},
    {SYS_readlink, "readlink", kNoMemory},
    {SYS_recvfrom, "recvfrom", kNoMemory | kInterrupted},
    {SYS_recvmsg, "recvmsg", kNoMemory | kInterrupted},
    {SYS_sendmsg, "sendmsg", kNoMemory | kInterrupted},
    {SYS_sendto, "sendto", kNoMemory | kInterrupted},
    {SYS_setsockopt, "setsockopt", kNoMemory},
    {SYS_socket, "socket", kNoMemory | kNoDescriptor},
    {SYS_socketpair, "socketpair", kNoMemory | kNoDescriptor},
    {SYS_stat, "stat", kNoMemory},
    {SYS_statx, "statx", kNoMemory},
    {SYS_timerfd_create, "timerfd_create", kNoMemory | kNoDescriptor},
    {SYS_unlink, "unlink", kNoMemory},
    {SYS_write, "write", kNoSpace | kInterrupted},
    {SYS_writev, "writev", kNoSpace | kInterrupted},
});

#ifndef SO_PEERPIDFD
constexpr std::uint64_t kPeerPidfd = 77;
#else
constexpr std::uint64_t kPeerPidfd = SO_PEERPIDFD;
#endif

const Call* find_call(std::uint64_t number) {
  const auto* const found = std::find_if(kCalls.begin(), kCalls.end(),
                                         [&](const Call& one) { return one.number == number; });
  return found == kCalls.end() ? nullptr : found;
}

unsigned bit_of(int error) {
  switch (error) {
    case ENOMEM: return kNoMemory;
    case EMFILE: return kNoDescriptor;
    case ENOSPC: return kNoSpace;
    case EINTR: return kInterrupted;
    default: return 0;
  }
}

// Reading and writing files of a file system is not interrupted.
bool has_path(pid_t process, std::uint64_t descriptor) {
  std::array<char, 64> link{};
  std::array<char, 1> target{};
  (void)std::snprintf(link.data(), link.size(), "/proc/%d/fd/%d", process,
                      static_cast<int>(descriptor));
  return ::readlink(link.data(), target.data(), target.size()) == 1 && target[0] == '/';
}

}  // namespace

bool may_end_with(int error, pid_t process, std::uint64_t number,
                  const std::uint64_t* arguments) noexcept {
  const Call* const call = find_call(number);
  if (call == nullptr || (call->errors & bit_of(error)) == 0) return false;
  switch (number) {
    case SYS_fcntl: return arguments[1] == F_DUPFD || arguments[1] == F_DUPFD_CLOEXEC;
    case SYS_epoll_ctl: return arguments[1] == EPOLL_CTL_ADD;
    case SYS_getsockopt: return arguments[2] == kPeerPidfd;
    case SYS_read:
    case SYS_pread64:
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64: return error != EINTR || !has_path(process, arguments[0]);
    default: return true;
  }
}

const char* name_of_call(std::uint64_t number) noexcept {
  const Call* const call = find_call(number);
  return call == nullptr ? nullptr : call->name;
}

#else

bool may_end_with(int, pid_t, std::uint64_t, const std::uint64_t*) noexcept { return false; }

const char* name_of_call(std::uint64_t) noexcept { return nullptr; }

#endif

}  // namespace allot::test
