// TopSample: what the regions were like at one instant, as the daemon's answer `top` gives it.
//
// Filled by top.cpp, shown by top_text.cpp. Plain values; texts hold nothing but printable
// ASCII.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace allot::ctl {

struct TopSession {
  std::uint32_t session = 0;
  std::uint64_t incarnation = 0;
  std::string label;
  std::uint64_t pid = 0;
  std::uint64_t uid = 0;
  std::uint64_t connected_unix_ns = 0;
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t live_blocks = 0;
  // Since it connected; allocations and frees only of heaps that are there now.
  std::uint64_t grants = 0;
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
};

struct TopRegion {
  std::string name;
  std::uint64_t created_unix_ns = 0;
  std::uint64_t now_unix_ns = 0;       // by the daemon's clocks
  std::uint64_t now_monotonic_ns = 0;  // which nobody sets: for differences
  std::uint64_t reserved_bytes = 0;
  std::uint64_t committed_bytes = 0;
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t cached_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t tail_bytes = 0;
  bool exact = true;  // false: it changed while its words were read
  std::uint64_t grants = 0;
  std::uint64_t commit_limit_bytes = 0;
  std::uint64_t most_granted_bytes = 0;
  std::uint64_t least_room_bytes = 0;
  std::optional<std::uint64_t> least_available_bytes;
  std::uint64_t high_water_bytes = 0;
  std::vector<TopSession> sessions;
};

struct TopSample {
  std::vector<TopRegion> regions;
};

}  // namespace allot::ctl
