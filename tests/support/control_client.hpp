// What a test asks of a running allotd over its control socket: does a region add up, who is there.
//
// Used by conformance and process tests. Each call is a connection of its own; it throws if no
// answer comes in kPatience, or if the answer is an error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "shared/platform/descriptor.hpp"

namespace allot::test {

/// The answer of `check`.
struct RegionCheck {
  bool is_clean = false;
  bool is_exact = false;  // nothing moved, and words and counters agree to the block
  std::uint64_t violations = 0;
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t live_blocks = 0;
  std::uint64_t cached_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t tail_bytes = 0;
  std::uint64_t orphans = 0;
  std::uint64_t kept_blocks = 0;
  std::int64_t block_difference = 0;  // by counters less by words
  std::string text;                   // the whole answer
};
[[nodiscard]] RegionCheck check_region(const std::filesystem::path& control_socket,
                                       std::string_view region = "default");

/// The answer of `stats`.
struct RegionStats {
  std::uint64_t sessions = 0;
  std::uint64_t heaps = 0;
  std::uint64_t orphans = 0;
  std::uint64_t names = 0;
  std::uint64_t hidden_names = 0;
  std::uint64_t granted_bytes = 0;
  std::uint64_t data_bytes = 0;  // committed in the data file
  std::uint64_t recoveries = 0;
  std::uint64_t grants = 0;
  std::uint64_t reservation_bytes = 0;
};
[[nodiscard]] RegionStats stats_of_region(const std::filesystem::path& control_socket,
                                          std::string_view region = "default");

/// Waits until the region has so many sessions; throws after kPatience. A daemon learns from the kernel
/// that a process has ended, but not that it has unmapped a file: it looks again, at last every second.
void await_sessions(const std::filesystem::path& control_socket, std::uint64_t wanted);

/// Clients that the daemon has accepted and that are still there.
[[nodiscard]] std::uint64_t connection_count(const std::filesystem::path& control_socket);

/// A connection to the control socket, for who speaks by hand.
[[nodiscard]] platform::Descriptor connect_stream(const std::filesystem::path& path);

/// Sends one line and returns the one that answers it.
[[nodiscard]] std::string ask_control_socket(const std::filesystem::path& control_socket,
                                             std::string_view line);

}  // namespace allot::test
