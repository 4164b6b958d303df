#include "shared/platform/pidfd.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>

#include "shared/platform/poll_now.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::platform {

Expected<Descriptor> pidfd_open(pid_t pid) {
  // By number: glibc 2.35 and older have no wrapper. The kernel sets close-on-exec itself.
  const long fd = ::syscall(SYS_pidfd_open, pid, 0U);
  if (fd < 0) return system_error("pidfd_open(" + std::to_string(pid) + ")");
  return Descriptor(static_cast<int>(fd));
}

bool has_exited(const Descriptor& pidfd) noexcept {
  pollfd poll_entry{pidfd.get(), POLLIN, 0};
  return poll_now(poll_entry) == 1 && (poll_entry.revents & POLLIN) != 0;
}

Expected<pid_t> pid_of(const Descriptor& pidfd) {
  const std::string path = "/proc/self/fdinfo/" + std::to_string(pidfd.get());
  errno = 0;
  std::ifstream info(path);
  for (std::string line; std::getline(info, line);) {
    pid_t pid = 0;
    if (std::sscanf(line.c_str(), "Pid: %d", &pid) == 1) return pid;
  }
  if (!info.is_open() || info.bad()) return system_error(path);
  return pid_t{0};
}

}  // namespace allot::platform
