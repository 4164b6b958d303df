// Supervisor: a small parent that keeps the daemon's descriptors while the daemon is away.
//
// Used by main() for `allotd --supervise`. It speaks the part of systemd's protocol that
// ServiceManager uses: NOTIFY_SOCKET with FDSTORE, FDSTOREREMOVE and BARRIER, and LISTEN_FDS for the
// next daemon. It starts the daemon again when that dies (RestartPolicy). SIGHUP has the program
// started anew from its path, which is how another build is taken while the regions stay.
//
// It listens to nobody but its daemon, so what a client sends cannot end it. If it is killed, the
// daemon serves on, for as long as it lives.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include <allot/expected.hpp>

#include "daemon/restart_policy.hpp"

namespace allot::daemon {

struct SupervisorOptions {
  std::filesystem::path runtime_dir;
  std::vector<std::string> arguments;  // as they were given, with the program's name
  std::chrono::milliseconds longest_pause = RestartPolicy::kLongestPause;  // before a restart
};

/// Keeps a daemon running until SIGTERM or SIGINT, or until it ends on purpose. The exit status for
/// this process; the error says what kept it from starting.
[[nodiscard]] Expected<int> supervise(const SupervisorOptions& options);

}  // namespace allot::daemon
