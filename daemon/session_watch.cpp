#include "daemon/session_watch.hpp"

#include <algorithm>
#include <utility>

#include "shared/platform/memfd.hpp"

namespace allot::daemon {

namespace {

constexpr std::chrono::milliseconds kFirstDelay{1};
constexpr std::chrono::milliseconds kLongestDelay{1000};

}  // namespace

SessionWatch::SessionWatch(boost::asio::io_context& context, Timers& timers,
                           platform::Descriptor presence, platform::Descriptor pidfd,
                           Callbacks callbacks)
    : presence_(std::move(presence)),
      pidfd_(context, std::move(pidfd)),
      callbacks_(std::move(callbacks)),
      retry_(timers) {
  pidfd_.async_wait_readable([this](bool exited) {
    if (exited) process_exited();
  });
}

void SessionWatch::connection_ended() { try_from_the_loop(std::chrono::milliseconds(0)); }

void SessionWatch::process_exited() {
  exited_ = true;
  delay_ = kFirstDelay;
  try_from_the_loop(std::chrono::milliseconds(0));
}

void SessionWatch::try_from_the_loop(std::chrono::milliseconds delay) {
  retry_.start(delay, [this] { try_to_seal(); });
}

void SessionWatch::try_to_seal() {
  const platform::PresenceState presence = platform::try_seal_presence(presence_);
  if (presence == platform::PresenceState::kTampered && !tampered_) {
    tampered_ = true;
    callbacks_.tampered();
  }
  if (presence == platform::PresenceState::kGone || (tampered_ && exited_)) {
    const auto gone = std::move(callbacks_.gone);
    gone();  // destroys this object
    return;
  }
  // Sealed seals stay so: only the process's exit, which wakes us, can tell more.
  if (tampered_) return;
  try_from_the_loop(delay_);
  delay_ = std::min(delay_ * 2, kLongestDelay);
}

}  // namespace allot::daemon
