// allotd as a whole: its directory, its sockets, its regions, its loop.
//
// Used by main(), which has read options and configuration. run_daemon() returns when a signal
// asked the process to end, or at once with an error if it cannot start.
#pragma once

#include <filesystem>

#include <allot/expected.hpp>

#include "daemon/config.hpp"
#include "daemon/peer_identity.hpp"

namespace allot::daemon {

struct DaemonOptions {
  std::filesystem::path runtime_dir;
  Config config;
  ForcedFallbacks forced;
};

/// Serves until SIGTERM or SIGINT. The error says what kept it from starting.
[[nodiscard]] Expected<void> run_daemon(const DaemonOptions& options);

/// Makes this process private: no core dump, no debugger of its own uid, files for the owner only,
/// as many descriptors as it may have.
void harden_process();

}  // namespace allot::daemon
