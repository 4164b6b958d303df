// NotifySocket: the way to the service manager that set NOTIFY_SOCKET.
//
// Used by ServiceManager. Each message is a datagram of its own, with at most one descriptor. What
// the service manager has no room for waits here, in order, until it has.
//
// Invariants
// 1. Nothing blocks but flush(), which is for the end of the process.
// 2. Messages go out in the order of send(). One that the socket refuses for good is dropped, and
//    the next message that has a `refused` callback is refused as well: it stands for all before.
//
// One thread.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include <allot/expected.hpp>

#include "daemon/async_descriptor.hpp"
#include "daemon/timers.hpp"
#include "shared/platform/descriptor.hpp"
#include "shared/platform/seqpacket.hpp"

namespace allot::daemon {

class NotifySocket {
 public:
  using Refused = std::function<void(const Error&)>;

  /// Connects to $NOTIFY_SOCKET. Not connected if that is not set, or if nobody is there (then a
  /// line in the log says so).
  NotifySocket(boost::asio::io_context& context, Timers& timers);

  [[nodiscard]] bool is_connected() const noexcept { return static_cast<bool>(socket_); }
  /// Why it is not connected although somebody may be there: there was too little of something just
  /// now.
  [[nodiscard]] const std::optional<Error>& shortage() const noexcept { return shortage_; }
  /// Whether the service manager was seen to have ended.
  [[nodiscard]] bool is_abandoned() const noexcept { return abandoned_; }

  /// Sends `text` with `descriptor` (-1: none), which stays the caller's: it is duplicated if the
  /// message must wait. `refused` may be called at once. Does nothing if not connected.
  void send(std::string_view text, int descriptor = -1, Refused refused = {});

  /// Blocks until all messages are gone, at most until `deadline`.
  void flush(platform::Deadline deadline);

 private:
  struct Message {
    std::string text;
    platform::Descriptor descriptor;
    Refused refused;
  };

  [[nodiscard]] std::optional<Error> deliver(std::string_view text, int descriptor,
                                             const Refused& refused);
  [[nodiscard]] std::optional<Error> deliver_waiting();
  void wait(const Error& reason);
  void refuse(const Error& error, const Refused& refused);

  NotifySocket(boost::asio::io_context& context, Timers& timers,
               Expected<platform::Descriptor> connection);

  bool has_manager_;
  AsyncDescriptor socket_;
  std::optional<Error> shortage_;
  Timer pause_;
  std::deque<Message> waiting_;
  bool awaits_room_ = false;
  std::optional<Error> lost_;  // why a message was dropped, until a callback has been told
  bool abandoned_ = false;
  bool logged_ = false;
};

}  // namespace allot::daemon
