// Deadline and wait_for: the only places where the orchestrator blocks.
//
// SIGINT and SIGTERM are blocked except inside wait_for(), so an interrupt is never lost between a
// check and a wait; it surfaces as a Failure, and destructors end the children and remove the
// runtime directory.
#pragma once

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <utility>

namespace pipeline {

class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  /// `what` is named when the deadline passes.
  Deadline(std::string what, Clock::duration from_now)
      : what_(std::move(what)), end_(Clock::now() + from_now) {}

  [[nodiscard]] Clock::duration remaining() const {
    return std::max(end_ - Clock::now(), Clock::duration::zero());
  }
  [[nodiscard]] bool passed() const { return Clock::now() >= end_; }
  [[nodiscard]] const std::string& what() const noexcept { return what_; }

 private:
  std::string what_;
  Clock::time_point end_;
};

/// Nanoseconds of the monotonic clock, which all processes of the machine share.
[[nodiscard]] std::uint64_t monotonic_ns() noexcept;

/// From now on SIGINT and SIGTERM reach this thread inside wait_for() only.
void catch_interrupts();

/// A Failure if there was an interrupt: for work that does not wait.
void check_interrupted();

/// Waits until one of `entries` has an event, at most until `deadline`. Returns how many have; a
/// Failure when the deadline passes or on an interrupt.
int wait_for(std::span<pollfd> entries, const Deadline& deadline);

/// Like wait_for(), for at most `pause`: 0 when it ends without an event.
int wait_for_at_most(std::span<pollfd> entries, std::chrono::milliseconds pause,
                     const Deadline& deadline);

}  // namespace pipeline
