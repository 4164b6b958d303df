// RuntimeDir: the directory of the daemon's sockets, held by one daemon at a time.
//
// Used by run_daemon() at the start; the supervisor only prepares it. The lock is flock() on DIR/allotd.lock: it goes with the
// process, however that ends, so a dead daemon never keeps the next one out. The file stays;
// removing it would let two daemons hold locks on two files of one name. What a dead daemon left is
// removed under the lock only.
#pragma once

#include <filesystem>
#include <string_view>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"
#include "shared/platform/runtime_dir.hpp"

namespace allot::daemon {

/// Where the daemon runs if nobody says: $RUNTIME_DIRECTORY (systemd), else $ALLOT_RUNTIME_DIR,
/// else /run/allot for root, else $XDG_RUNTIME_DIR/allot. An error that says what to set if none
/// is.
[[nodiscard]] Expected<std::filesystem::path> default_runtime_dir();

class RuntimeDir {
 public:
  /// Makes the directory if it is not there, and checks that nobody else can rename what is in it.
  /// Its absolute path.
  [[nodiscard]] static Expected<std::filesystem::path> prepare(const std::filesystem::path& path);

  /// Prepares the directory and takes its lock. An error that names the pid of the
  /// daemon that has it, if one does.
  [[nodiscard]] static Expected<RuntimeDir> take(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::filesystem::path client_socket() const {
    return path_ / platform::kClientSocketName;
  }
  [[nodiscard]] std::filesystem::path control_socket() const {
    return path_ / platform::kControlSocketName;
  }

  /// Removes a socket that a dead daemon left. An error if something else is there.
  [[nodiscard]] static Expected<void> remove_stale_socket(const std::filesystem::path& socket);

 private:
  RuntimeDir(std::filesystem::path path, platform::Descriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::filesystem::path path_;
  platform::Descriptor lock_;
};

}  // namespace allot::daemon
