// A descriptor for a process, immune to the reuse of process numbers.
//
// Used by the daemon to learn of a client's death (poll: readable once the process has exited).
#pragma once

#include <sys/types.h>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::platform {

/// Opens a descriptor for process `pid` (> 0). Error ESRCH if there is none.
[[nodiscard]] Expected<Descriptor> pidfd_open(pid_t pid);

/// True once the process has exited (a zombie counts). Does not block.
[[nodiscard]] bool has_exited(const Descriptor& pidfd) noexcept;

/// The number of the pidfd's process as /proc/self/fdinfo says it; -1 once it has ended, 0 if it says
/// none.
[[nodiscard]] Expected<pid_t> pid_of(const Descriptor& pidfd);

}  // namespace allot::platform
