// The answer that draws a region: every granule of it, as spans, reserved holes and what is free.
//
// Used by ControlRequest::parse(). An answer is a page: so many items from a granule on, and where
// the next page begins. What a span holds is read from its own words, and an own word that cannot
// be is a violation of the page. Bookkeeping is asked for what is no span, for owners and for ages.
#pragma once

#include <memory>

#include "daemon/control_answer.hpp"

namespace allot::daemon {

/// `query.kind` is kMap.
[[nodiscard]] std::unique_ptr<ControlRequest> make_map_answer(const ControlQuery& query,
                                                              ControlContext context,
                                                              Regions regions);

}  // namespace allot::daemon
