// The processor time of the daemon that this process's clients talk to: what it does for them
// counts as theirs.
#pragma once

#include <ctime>

namespace allot::bench {

/// For clock_gettime(). The daemon is that of ALLOT_RUNTIME_DIR.
[[nodiscard]] clockid_t clock_of_daemon();

}  // namespace allot::bench
