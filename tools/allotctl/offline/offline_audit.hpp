// The audit of a region without its daemon: what the next daemon would make of it, and whether that adds up.
//
// Used by `allotctl check --offline`. What restore() would mend in silence is looked at before: a descriptor
// that makes no sense, a span of a session that is not there. Half a grant or return is no violation: a
// daemon may be killed between any two stores.
#pragma once

#include <string>
#include <vector>

#include "shared/region/audit_report.hpp"
#include "tools/allotctl/offline/region_copy.hpp"

namespace allot::ctl {

struct OfflineReport {
  region::AuditReport audit;
  std::string damage;  // why no daemon can go on with the region; empty if one can
  std::vector<std::string> not_checked;  // for want of the vault
};

/// Changes the copy.
[[nodiscard]] OfflineReport audit_copy(RegionCopy& copy);

}  // namespace allot::ctl
