// The answer to `holders` of a session: what it holds, in each region that has one of its number.
//
// Used by make_holders_answer(). Spans by kind, blocks by own words, reservations, pins, and the names
// that its user published: a walk over all spans, then over all names, in slices.
#pragma once

#include <memory>

#include "daemon/control_answer.hpp"

namespace allot::daemon {

/// `query.session` is of one of the sessions of each of `regions`.
[[nodiscard]] std::unique_ptr<ControlRequest> make_holdings_answer(const ControlQuery& query,
                                                                   ControlContext context,
                                                                   Regions regions);

}  // namespace allot::daemon
