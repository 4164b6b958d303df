// ListeningSockets: the client socket and the control socket, from systemd, from the descriptor
// store, or made here.
//
// Used by run_daemon() at the start. Under socket activation the two come by their names ("client",
// "control"), are checked, and stay when the daemon stops. What does not come is made in the
// runtime directory, for the owner only (for root's group too).
//
// With a descriptor store, what is made here is stored under the same names, so that the next daemon
// listens on the same socket and no program is refused meanwhile. Beside it goes a descriptor of its
// path ("client-path", "control-path"): if something else has that path by then, the socket is out
// of anybody's reach, and is made anew. Without a store, what was made is removed at the end.
#pragma once

#include <filesystem>
#include <vector>

#include <allot/expected.hpp>

#include "daemon/inherited_descriptors.hpp"
#include "daemon/runtime_dir.hpp"
#include "daemon/service_manager.hpp"
#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

struct ListeningSockets {
  platform::Descriptor client;              // SOCK_SEQPACKET
  platform::Descriptor control;             // SOCK_STREAM
  std::vector<std::filesystem::path> made;  // to be removed at the end

  /// An error that names the socket and what is wrong with it.
  [[nodiscard]] static Expected<ListeningSockets> take(const RuntimeDir& directory,
                                                       InheritedDescriptors& inherited,
                                                       ServiceManager& manager);
};

}  // namespace allot::daemon
