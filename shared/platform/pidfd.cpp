#include "shared/platform/pidfd.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

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
  return ::poll(&poll_entry, 1, 0) == 1 && (poll_entry.revents & POLLIN) != 0;
}

}  // namespace allot::platform
