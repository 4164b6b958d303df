#include "daemon/restart_policy.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <utility>

namespace allot::daemon {

namespace {
constexpr std::chrono::milliseconds kFirstPause{10};
}  // namespace

RestartPolicy::Decision RestartPolicy::ended(int wait_status,
                                             std::chrono::milliseconds lived) noexcept {
  if (!WIFEXITED(wait_status)) return restart(lived);
  const int status = WEXITSTATUS(wait_status);
  if (status == 0) return {Fate::kEnd, {}, 0};
  if (status == kExitOtherLayout) return {Fate::kHold, {}, status};
  if (!ever_ready_ && (status == kExitCannotStart || status == kExitWrongUsage)) {
    return {Fate::kEnd, {}, status};
  }
  if (!ever_ready_ && status == kExitNoProgram) return {Fate::kEnd, {}, kExitCannotStart};
  // The configuration was changed since the daemon was started first.
  if (status == kExitWrongUsage) return {Fate::kHold, {}, status};
  return restart(lived);
}

RestartPolicy::Decision RestartPolicy::restart(std::chrono::milliseconds lived) noexcept {
  if (lived >= kShortLife) return {};
  const auto following = std::min(std::max(next_pause_ * 2, kFirstPause), longest_pause_);
  return {Fate::kRestart, std::exchange(next_pause_, following), 0};
}

}  // namespace allot::daemon
