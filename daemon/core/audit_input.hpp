// What the audit compares a region with: the core's own accounts, at this instant.
//
// Used by the control socket, by embedded mode and by tests. Reads the core, changes nothing.
#pragma once

#include <cstdint>

#include "daemon/core/region_core.hpp"
#include "shared/region/audit.hpp"

namespace allot::core {

/// The accounts of `region` now. `window_granules` and `heap_window`: how much of the caller's
/// mapping may be touched.
[[nodiscard]] region::AuditInput audit_input(const RegionCore& region,
                                             std::uint64_t window_granules,
                                             std::uint32_t heap_window = region::kHeapLimit);

}  // namespace allot::core
