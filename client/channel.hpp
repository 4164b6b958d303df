// Channel: how a session talks to the service: over a socket, or by a call in embedded mode.
//
// Used under the session's mutex, so by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <allot/expected.hpp>

#include "shared/platform/seqpacket.hpp"
#include "shared/protocol/message.hpp"

namespace allot {

class Channel {
 public:
  /// What became of a request.
  enum class Outcome : std::uint8_t {
    kNotSent = 0,   // the service has not seen it and never will
    kUnknown = 1,   // it was sent; the service may have done it, or may still do it
    kAnswered = 2,  // the service has done it, or refused it by a Failure
  };

  Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  virtual ~Channel() = default;

  /// Sends `body` and waits for its answer until `deadline`. A Failure comes back as its Error;
  /// kDeadline and kDaemonGone are the channel's own.
  [[nodiscard]] virtual Expected<protocol::Body> request(const protocol::Body& body,
                                                         platform::Deadline deadline) = 0;
  /// Of the latest request().
  [[nodiscard]] Outcome latest_outcome() const noexcept { return outcome_; }
  /// Sends a message whose answer nobody waits for. False if it is lost. Any thread.
  virtual bool post(const protocol::Body& body) = 0;
  /// Posts whose answers were not received as yet, but for FreedElsewhere, which has none. A daemon
  /// whose answers nobody reads drops the session.
  [[nodiscard]] virtual std::size_t unanswered_posts() const noexcept { return 0; }
  /// Sends `body`, whose answer is a late one, and returns its number; 0 if it is not sent, or if
  /// this channel answers at once and there is nothing to be gained.
  [[nodiscard]] virtual std::uint64_t request_ahead(const protocol::Body& body) = 0;
  /// Answers that came after their caller's deadline, or to requests ahead; each handed out once.
  /// Waits until `deadline` for one, unless some are there; Deadline::min() does not wait.
  [[nodiscard]] virtual std::vector<protocol::Message> take_late_answers(
      platform::Deadline deadline) = 0;
  /// False once no request will be answered, unless reconnect() helps. Does not wait.
  [[nodiscard]] virtual bool is_connected() const noexcept = 0;
  /// After kDaemonGone: goes on with the session that `resume` names at the daemon that runs now.
  /// Waits for one that is about to run until `deadline`; kDaemonGone if there is none, or if it
  /// knows nothing of the session: then it is of no use to try again, though it does no harm. What
  /// was sent on the old connection is never answered; answers that were not taken are forgotten.
  [[nodiscard]] virtual Expected<void> reconnect(const protocol::Resume& /*resume*/,
                                                 platform::Deadline /*deadline*/) {
    return Error(Errc::kDaemonGone);
  }
  /// In a forked child: lets go of the parent's connection without a word.
  virtual void abandon() noexcept = 0;
  // Around a fork, for a channel that goes on in the child.
  virtual void lock_for_fork() {}
  virtual void unlock_after_fork() {}

 protected:
  void set_outcome(Outcome outcome) noexcept { outcome_ = outcome; }

 private:
  Outcome outcome_ = Outcome::kAnswered;
};

}  // namespace allot
