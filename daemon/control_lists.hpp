// The answers that list things of a region: spans, names.
//
// Used by ControlRequest::parse(). A list of spans is a page: so many spans from a granule on, and
// where the next page begins.
#pragma once

#include <memory>

#include "daemon/control_answer.hpp"

namespace allot::daemon {

/// `query.kind` is kSpans, kNames or kArenas.
[[nodiscard]] std::unique_ptr<ControlRequest> make_list_answer(const ControlQuery& query,
                                                               ControlContext context,
                                                               Regions regions);

}  // namespace allot::daemon
