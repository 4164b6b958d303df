// BadPeers: counts peers that broke the rules, and decides which of them the log hears of.
//
// Used by the server. Each bad peer is counted; of one user's at most a few a minute are logged, so
// that somebody who connects and misbehaves in a loop fills a counter and not a disk. What was left
// out is said with the next line. Remembers a bounded number of users. One thread; no clock.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace allot::daemon {

class BadPeers {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::uint32_t kLinesPerWindow = 5;
  static constexpr std::chrono::seconds kWindow{60};
  static constexpr std::size_t kMaxUsers = 1024;

  /// What becomes of the peer.
  enum class Fate : std::uint8_t { kRefused, kDropped, kStays };

  /// Counts one; returns the line to log, if any.
  [[nodiscard]] std::optional<std::string> note(pid_t pid, uid_t uid, Fate fate,
                                                std::string_view why, Clock::time_point now);

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }

 private:
  struct User {
    Clock::time_point window_start;
    std::uint32_t lines = 0;
    std::uint64_t left_out = 0;
  };

  std::map<uid_t, User> users_;
  std::uint64_t count_ = 0;
};

}  // namespace allot::daemon
