// ListeningSockets: the client socket and the control socket, from systemd or made here.
//
// Used by run_daemon() at the start. Under socket activation the two come by their names ("client",
// "control"), are checked, and stay when the daemon stops; what does not come is made in the
// runtime directory, for the owner only (for root's group too), and removed at the end.
#pragma once

#include <filesystem>
#include <vector>

#include <allot/expected.hpp>

#include "daemon/runtime_dir.hpp"
#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

struct ListeningSockets {
  platform::Descriptor client;              // SOCK_SEQPACKET
  platform::Descriptor control;             // SOCK_STREAM
  std::vector<std::filesystem::path> made;  // to be removed at the end

  /// An error that names the socket and what is wrong with it.
  [[nodiscard]] static Expected<ListeningSockets> take(const RuntimeDir& directory);
};

}  // namespace allot::daemon
