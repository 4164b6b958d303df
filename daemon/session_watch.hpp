// SessionWatch: finds out that no process image uses a session any more.
//
// Used by the server, one for each session from its Welcome to its recovery. The truth is the
// presence file alone: once the kernel lets us seal it against writing, no image maps it and none
// ever can. The end of the connection and the process's exit are reasons to try.
//
// | what happened                        | what it does                                         |
// |--------------------------------------|------------------------------------------------------|
// | nothing                              | waits; no timer                                      |
// | connection ended or process exited   | tries to seal, then again after 1, 2, 4 .. 1000 ms   |
// | connected again, after a restart     | tries no more                                        |
// | process exits while it is trying     | tries at once, and from 1 ms on again                |
// | sealed                               | calls `gone`, once                                   |
// | the peer sealed the seals            | calls `tampered`, once; the exit alone then decides  |
//
// The callbacks run from the event loop and may destroy this object. One thread.
#pragma once

#include <chrono>
#include <functional>

#include <boost/asio/io_context.hpp>

#include "daemon/async_descriptor.hpp"
#include "daemon/timers.hpp"
#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

class SessionWatch {
 public:
  struct Callbacks {
    std::function<void()> gone;
    std::function<void()> tampered;
  };

  SessionWatch(boost::asio::io_context& context, Timers& timers, platform::Descriptor presence,
               platform::Descriptor pidfd, Callbacks callbacks);

  [[nodiscard]] const platform::Descriptor& presence() const noexcept { return presence_; }
  [[nodiscard]] const platform::Descriptor& pidfd() const noexcept { return pidfd_.get(); }

  /// False if the event loop refuses the pidfd.
  [[nodiscard]] bool sees_exit() const noexcept { return static_cast<bool>(pidfd_); }

  /// The client's connection has ended: its image may be gone, or may live on.
  void connection_ended();
  /// The client has another one: its image lives.
  void connected_again() { retry_.cancel(); }

 private:
  void process_exited();
  void try_from_the_loop(std::chrono::milliseconds delay);
  void try_to_seal();

  platform::Descriptor presence_;
  AsyncDescriptor pidfd_;
  Callbacks callbacks_;
  Timer retry_;
  std::chrono::milliseconds delay_{1};
  bool exited_ = false;
  bool tampered_ = false;
};

}  // namespace allot::daemon
