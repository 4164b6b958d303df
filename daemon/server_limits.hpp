// Limits of the daemon as a whole: name, unit, default. Those of a region are core::Limits.
//
// The configuration file sets those of ServerLimits under the same names (allotd.toml(5)).
#pragma once

#include <cstddef>
#include <cstdint>

namespace allot::daemon {

struct ServerLimits {
  std::uint32_t max_connections = 4096;          // of clients, with or without a session
  std::uint32_t max_connections_per_uid = 1024;  // of one user
  std::uint32_t hello_deadline_ms = 10'000;      // for a new connection to say what it wants
  std::uint64_t max_pending_bytes = std::uint64_t{1} << 30;  // see Server::may_read()
  std::uint32_t max_pending_grants = 16;                     // of one connection, being committed
  std::uint32_t max_control_connections = 64;
  std::uint32_t control_deadline_ms = 5'000;  // for a whole request, and for taking an answer
  std::uint32_t control_idle_ms = 60'000;     // a control connection between requests

  friend bool operator==(const ServerLimits&, const ServerLimits&) = default;
};

/// Regions in one daemon; handles have 1023 tags.
inline constexpr std::size_t kMaxRegions = 64;

}  // namespace allot::daemon
