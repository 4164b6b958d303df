// Where the daemon's sockets lie: the directories to look in, in order, and the sockets' names.
//
// Used by the client library and by allotctl, so that both look in the same places, and by the
// daemon to name its sockets. Reads the environment; nothing is opened, created or checked here.
// Not safe beside a thread that changes the environment.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace allot::platform {

inline constexpr std::string_view kClientSocketName = "client.sock";
inline constexpr std::string_view kControlSocketName = "control.sock";

/// $ALLOT_RUNTIME_DIR alone if it is set and not empty; else /run/allot, then
/// $XDG_RUNTIME_DIR/allot if that is set and not empty. Never an empty list.
[[nodiscard]] std::vector<std::filesystem::path> candidate_runtime_dirs();

}  // namespace allot::platform
