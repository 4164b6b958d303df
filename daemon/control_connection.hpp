// ControlConnection: one peer of the control socket: reads a line, has it answered, writes that.
//
// Used by ControlServer. One request at a time: the next line is not looked at before the answer to
// the last one is taken. Invariant: whatever the peer must do next, read or write, has a deadline;
// while the daemon itself works on an answer no timer runs.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/system/error_code.hpp>

#include "daemon/control_requests.hpp"
#include "daemon/server_limits.hpp"
#include "daemon/timers.hpp"
#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

class ControlConnection : public std::enable_shared_from_this<ControlConnection> {
 public:
  struct Options {
    core::Peer peer;
    bool administrator = false;
    ServerLimits limits;
    ControlContext control;
    std::function<void()> closed;  // called once, unless close() was called by the owner
  };

  ControlConnection(boost::asio::io_context& context, Timers& timers, platform::Descriptor socket,
                    Options options);

  void start();
  void close();

 private:
  void read();
  void take_line();
  void step();
  void write(std::string answer);
  void discard_input();
  void lose();

  boost::asio::io_context& context_;
  boost::asio::local::stream_protocol::socket socket_;
  Options options_;
  Timer deadline_;
  std::string input_;  // what was read and not yet answered; at most a line and a bit
  std::string output_;
  bool last_ = false;  // close after this answer
  std::unique_ptr<ControlRequest> request_;
};

}  // namespace allot::daemon
