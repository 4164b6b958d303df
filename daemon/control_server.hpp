// ControlServer: lines in, lines out, for the control socket.
//
// Used by Daemon. A request is one line and its answer is one line; what they say is
// ControlRequest's business, whose slices run one a turn of the loop. This class only frames: a
// line has a longest length, a deadline from its first byte to its last, and its answer a deadline
// to be taken; a silent connection ends after a while; there are at most so many connections, half
// of them for administrators only. An administrator is root, or whoever has the daemon's own uid.
//
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>

#include <allot/expected.hpp>

#include "daemon/control_requests.hpp"
#include "daemon/listener.hpp"
#include "daemon/server_limits.hpp"
#include "daemon/timers.hpp"

namespace allot::daemon {

class ControlConnection;

class ControlServer {
 public:
  ControlServer(boost::asio::io_context& context, Timers& timers, const ServerLimits& limits,
                ControlContext control);
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;
  ~ControlServer();

  [[nodiscard]] Expected<void> serve(platform::Descriptor listening);
  void stop();

 private:
  void accept(platform::Descriptor socket);

  boost::asio::io_context& context_;
  Timers& timers_;
  ServerLimits limits_;
  ControlContext control_;
  std::map<std::uint64_t, std::shared_ptr<ControlConnection>> connections_;
  std::uint64_t next_id_ = 1;
  std::unique_ptr<Listener> listener_;
};

}  // namespace allot::daemon
