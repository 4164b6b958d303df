// The ladder of a region: reserved, committed, granted, live, and how low each ever was.
//
// Used by the answers to `stats` and `top`.
#pragma once

#include <boost/json/object.hpp>

#include "daemon/control_requests.hpp"
#include "shared/region/audit_report.hpp"

namespace allot::daemon {

/// `report` is of the region as it is now.
[[nodiscard]] boost::json::object ladder_json(const ControlContext& context,
                                              const core::RegionCore& region,
                                              const region::AuditReport& report);

}  // namespace allot::daemon
