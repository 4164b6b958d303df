// What `allotctl check --offline PID` asks, in place of the daemon: the files of that process.
#pragma once

#include <boost/json/object.hpp>

#include <allot/expected.hpp>

#include "tools/allotctl/command.hpp"

namespace allot::ctl {

/// The answer that the control socket would give to `check`; each region also has "not_checked", the list
/// of what could not be. An error if something cannot be read, or if the daemon ran meanwhile.
[[nodiscard]] Expected<boost::json::object> check_offline(const Options& options);

}  // namespace allot::ctl
