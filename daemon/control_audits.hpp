// The answers that need to know what the own words of a whole region say: stats, sessions, check.
//
// Used by ControlRequest::parse(). Each runs an Audit in slices and then tells what it found.
#pragma once

#include <memory>

#include "daemon/control_answer.hpp"

namespace allot::daemon {

/// `query.kind` is kStats, kSessions, kTop or kCheck.
[[nodiscard]] std::unique_ptr<ControlRequest> make_audited_answer(const ControlQuery& query,
                                                                  ControlContext context,
                                                                  Regions regions);

}  // namespace allot::daemon
