// The names under which the service manager keeps the daemon's descriptors.
//
// Used by Server. Short, since a restarted daemon gets them all in one string of at most 128 KiB
// (LISTEN_FDNAMES): "directory.TAG", "ledger.TAG", "data.TAG", "vault.TAG" for a region, and
// "TAG.ID.INCARNATION" for a session's presence file and for its process's pidfd; numbers in hexadecimal.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace allot::daemon {

/// The parts of a region, in the order of RegionHost's files.
inline constexpr std::array<std::string_view, 4> kRegionParts = {"directory", "ledger", "data",
                                                                 "vault"};

[[nodiscard]] std::string region_part_name(std::string_view part, std::uint64_t region_tag);
/// The region's tag, if `name` is that of the directory of one.
[[nodiscard]] std::optional<std::uint64_t> region_of_directory(std::string_view name);

struct StoredSession {
  std::uint32_t region_tag = 0;
  std::uint32_t id = 0;
  std::uint64_t incarnation = 0;
  friend bool operator==(const StoredSession&, const StoredSession&) = default;
};

[[nodiscard]] std::string session_name(const StoredSession& session);
[[nodiscard]] std::optional<StoredSession> parse_session_name(std::string_view name);

/// What is in the store and nobody here uses: of regions that are not served, of other builds.
struct UnusedInStore {
  std::uint64_t descriptors = 0;
  std::uint64_t name_bytes = 0;  // of each with its separator

  void add(std::string_view name) noexcept {
    ++descriptors;
    name_bytes += name.size() + 1;
  }
};

/// How many sessions the store can keep beside `regions` regions and the sockets: `capacity`
/// descriptors in all, and the names in one string.
[[nodiscard]] std::uint64_t storable_sessions(std::uint64_t capacity, std::uint64_t regions,
                                              const UnusedInStore& unused = {});

}  // namespace allot::daemon
