// The answer to `bins`: what each session has in each size class, in its pools and in large blocks.
#pragma once

#include <memory>

#include "daemon/control_answer.hpp"

namespace allot::daemon {

[[nodiscard]] std::unique_ptr<ControlRequest> make_bins_answer(const ControlQuery& query,
                                                               ControlContext context,
                                                               Regions regions);

}  // namespace allot::daemon
