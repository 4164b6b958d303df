// RestartPolicy: what the supervisor does when its daemon has ended by itself.
//
// Used by the supervisor only; pure. It restarts at once, and slower and slower a daemon that does not
// live for a second: after 0, 10, 20, 40 ... ms, up to the longest pause. A daemon that never was ready and says why by
// its exit status takes the supervisor with it, so that a wrong option does not become a loop.
#pragma once

#include <chrono>
#include <cstdint>

namespace allot::daemon {

inline constexpr int kExitCannotStart = 1;
inline constexpr int kExitWrongUsage = 2;
inline constexpr int kExitOtherLayout = 3;  // this build cannot serve the regions that are stored
inline constexpr int kExitNoProgram = 127;  // of the supervisor's child: the program cannot be run

class RestartPolicy {
 public:
  static constexpr std::chrono::milliseconds kShortLife{1000};
  static constexpr std::chrono::milliseconds kLongestPause{1000};  // unless another is asked for

  enum class Fate : std::uint8_t {
    kRestart,  // after `pause`
    kEnd,      // the supervisor, with `exit_status`
    kHold,     // keep what is stored until somebody has done something, and says so
  };
  struct Decision {
    Fate fate = Fate::kRestart;
    std::chrono::milliseconds pause{0};
    int exit_status = 0;
  };

  explicit RestartPolicy(std::chrono::milliseconds longest_pause = kLongestPause) noexcept
      : longest_pause_(longest_pause) {}

  /// The daemon said that it serves.
  void was_ready() noexcept { ever_ready_ = true; }
  /// It has served for kShortLife.
  void is_steady() noexcept { next_pause_ = std::chrono::milliseconds(0); }
  /// It ended, unasked, with this status of waitpid().
  [[nodiscard]] Decision ended(int wait_status, std::chrono::milliseconds lived) noexcept;

 private:
  [[nodiscard]] Decision restart(std::chrono::milliseconds lived) noexcept;

  std::chrono::milliseconds longest_pause_;
  bool ever_ready_ = false;
  std::chrono::milliseconds next_pause_{0};
};

}  // namespace allot::daemon
