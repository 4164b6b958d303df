// Listener: accepts connections on a listening socket, one a turn of the event loop.
//
// Used for the client socket and the control socket. When the process has no descriptor left it
// stops for a while instead of spinning: the connection stays in the kernel's queue. One thread.
#pragma once

#include <functional>

#include <boost/asio/io_context.hpp>

#include "daemon/async_descriptor.hpp"
#include "daemon/timers.hpp"
#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

class Listener {
 public:
  using Accept = std::function<void(platform::Descriptor)>;

  /// `socket` listens already. `accept` gets each connection, close-on-exec and non-blocking.
  Listener(boost::asio::io_context& context, Timers& timers, platform::Descriptor socket,
           Accept accept);

  /// False if the event loop refuses the socket: nobody would ever be accepted.
  explicit operator bool() const noexcept { return static_cast<bool>(socket_); }

  void start() { wait(); }
  void stop();

 private:
  void wait();
  void accept_one();

  AsyncDescriptor socket_;
  Accept accept_;
  Timer pause_;
  bool complained_ = false;
};

}  // namespace allot::daemon
