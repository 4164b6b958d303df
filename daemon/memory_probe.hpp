// MemoryProbe: how much memory the machine could still give to this process.
//
// Used by the server before each grant. The answer is the least of MemAvailable in /proc/meminfo
// and the room under the limit of every cgroup above the daemon (version 2 and version 1), where
// page cache that nobody uses counts as room. It is read at most every 100 ms; what was committed
// since is taken off. A source that cannot be read counts as unlimited and is named once in the
// log, so that a floor of available memory that does not work is not silent. All sources stay open:
// a daemon that has run out of descriptors must know what it may grant as before.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

class MemoryProbe {
 public:
  /// Finds the cgroups of this process below `proc` (for tests: a copy of /proc's files).
  explicit MemoryProbe(const std::filesystem::path& proc = "/proc");

  /// Bytes; all ones if nothing limits them.
  [[nodiscard]] std::uint64_t available_bytes();

  /// `bytes` were committed since: the cached answer shrinks.
  void note_committed(std::uint64_t bytes) noexcept;

 private:
  /// A file that the kernel writes anew for each reader who begins at its start.
  class KernelFile {
   public:
    explicit KernelFile(std::filesystem::path path);
    /// Empty if it is not there.
    [[nodiscard]] std::string text();
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

   private:
    std::filesystem::path path_;
    platform::Descriptor file_;
  };

  struct Group {
    KernelFile limit;
    KernelFile used;
    KernelFile stat;
    const char* reclaimable;  // the entry of stat
  };

  void add_groups(const std::filesystem::path& mount, const std::string& path, bool unified);
  void add_group(const std::filesystem::path& directory, bool unified);
  [[nodiscard]] std::uint64_t machine_available();
  [[nodiscard]] static std::uint64_t room_in(Group& group);

  KernelFile meminfo_;
  std::vector<Group> groups_;
  std::optional<std::chrono::steady_clock::time_point> read_at_;
  std::uint64_t cached_bytes_ = 0;
  bool complained_ = false;
};

}  // namespace allot::daemon
