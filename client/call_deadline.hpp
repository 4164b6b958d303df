// CallDeadline: until when one call of the public interface may wait, however often it waits.
//
// Made where the call comes in and handed down to all that may wait. It begins when the call first
// waits, so that a call that need not wait reads no clock. Used by one thread.
#pragma once

#include <chrono>
#include <optional>

#include "shared/platform/seqpacket.hpp"

namespace allot::detail {

class CallDeadline {
 public:
  explicit CallDeadline(std::chrono::milliseconds limit) noexcept : limit_(limit) {}
  CallDeadline(const CallDeadline&) = delete;
  CallDeadline& operator=(const CallDeadline&) = delete;

  [[nodiscard]] platform::Deadline at() noexcept {
    if (!at_) at_ = std::chrono::steady_clock::now() + limit_;
    return *at_;
  }
  [[nodiscard]] bool has_passed() noexcept { return std::chrono::steady_clock::now() >= at(); }

 private:
  std::chrono::milliseconds limit_;
  std::optional<platform::Deadline> at_;
};

}  // namespace allot::detail
