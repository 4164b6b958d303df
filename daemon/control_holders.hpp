// The answers of `holders`: who holds one block, or what one session holds, and since when.
//
// Used by ControlRequest::parse(). A block is found by its handle in a few reads, and its name by a look
// at all names; what a session holds takes a walk over all spans, in slices. Own words and carve words
// are members' to write: what they say is told, and checked only as far as looking at it needs.
#pragma once

#include <memory>

#include <allot/expected.hpp>

#include "daemon/control_answer.hpp"

namespace allot::daemon {

/// `query.kind` is kHolders. Errc::kForeignRegion, kNotInRegion or kStaleHandle for a handle that names
/// no block of one of `regions`; kUnknownSession if none of them has the session.
[[nodiscard]] Expected<std::unique_ptr<ControlRequest>> make_holders_answer(
    const ControlQuery& query, ControlContext context, Regions regions);

}  // namespace allot::daemon
