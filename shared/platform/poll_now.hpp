// poll(2) of one descriptor without waiting, whatever signals come.
#pragma once

#include <poll.h>

#include <cerrno>

namespace allot::platform {

/// As poll(&entry, 1, 0), but never EINTR. Any thread.
inline int poll_now(pollfd& entry) noexcept {
  int ready = 0;
  while ((ready = ::poll(&entry, 1, 0)) < 0 && errno == EINTR) {
  }
  return ready;
}

}  // namespace allot::platform
