#include "daemon/core/audit_input.hpp"

#include <algorithm>

namespace allot::core {

region::AuditInput audit_input(const RegionCore& region, std::uint64_t window_granules,
                               std::uint32_t heap_window) {
  const Totals& totals = region.totals();
  region::AuditInput input;
  input.window_granules = std::min(window_granules, region.high_water_granules());
  input.heap_window = heap_window;
  input.sessions.reserve(region.sessions().size());
  for (const auto& [id, record] : region.sessions()) {
    input.sessions.push_back({id, record.state != region::SessionState::kDraining,
                              record.pending_grants, record.incarnation, record.granted_bytes});
  }
  input.hidden_names.reserve(region.hidden_names().size());
  for (const auto& name : region.hidden_names()) input.hidden_names.push_back(name.handle);
  input.granted_bytes = totals.granted_bytes;
  input.orphans = region.orphan_count();
  input.grants = totals.grants;
  input.returns = totals.returns;
  input.recovered_blocks = totals.recovered_blocks;
  input.reclaimed_blocks = totals.reclaimed_blocks;
  input.retired_allocations = totals.retired_allocations;
  input.retired_frees = totals.retired_frees;
  // A daemon that was killed may have freed one block that it had not counted.
  input.killed_heaps = totals.killed_heaps + region.restarts();
  return input;
}

}  // namespace allot::core
