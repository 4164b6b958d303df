// Notification: what arrives at the other end of a NotifySocket.
//
// Used by the supervisor. What arrives comes from its own daemon, or from a program of the same user:
// the sender's pid tells them apart.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

/// One message: lines of KEY=VALUE, and descriptors.
struct Notification {
  std::string text;
  std::vector<platform::Descriptor> descriptors;
  pid_t sender = 0;        // 0: not known
  bool truncated = false;  // text or descriptors are missing

  /// The value of the first line with this key.
  [[nodiscard]] std::optional<std::string_view> value(std::string_view key) const;
  /// Whether there is a line KEY=1.
  [[nodiscard]] bool says(std::string_view key) const { return value(key) == "1"; }
};

/// Makes a socket for notifications at `path`, which only this user can reach. One that is there is
/// replaced.
[[nodiscard]] Expected<platform::Descriptor> listen_for_notifications(
    const std::filesystem::path& path);

/// The next message, if there is one. Does not block.
[[nodiscard]] std::optional<Notification> receive_notification(const platform::Descriptor& socket);

}  // namespace allot::daemon
