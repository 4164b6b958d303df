// Totals: what a region has counted since it began, through every daemon that served it.
#pragma once

#include <cstdint>

namespace allot::core {

struct Totals {
  std::uint64_t granted_bytes = 0;
  std::uint64_t reservation_bytes = 0;  // granted from or not
  std::uint64_t grants = 0;             // requests served since the region began
  std::uint64_t returns = 0;
  std::uint64_t recoveries = 0;
  std::uint64_t recovered_blocks = 0;  // freed in the name of sessions that died
  std::uint64_t reclaimed_blocks = 0;  // large blocks and names' blocks freed by the daemon
  std::uint64_t refusals = 0;
  std::uint64_t retired_allocations = 0;  // counters of heaps whose session is gone
  std::uint64_t retired_frees = 0;
  std::uint64_t most_granted_bytes = 0;  // granted_bytes never was more
  // The least that the machine could still give, of all times a grant was asked for.
  std::uint64_t least_available_bytes = ~std::uint64_t{0};
  // Heaps that ended without a Bye: one operation each may be counted on one side only.
  std::uint64_t killed_heaps = 0;
};

}  // namespace allot::core
