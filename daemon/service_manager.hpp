// ServiceManager: what the daemon tells systemd, or whoever set NOTIFY_SOCKET.
//
// Used by Daemon. Without a service manager each call does nothing. Pings of the watchdog come from
// the event loop, so a daemon that hangs is found; they run only if WATCHDOG_USEC asks for them.
#pragma once

#include <chrono>
#include <string>

#include "daemon/timers.hpp"

namespace allot::daemon {

class ServiceManager {
 public:
  explicit ServiceManager(Timers& timers) : ping_(timers) {}

  void ready(const std::string& status);
  static void stopping();

 private:
  void ping();

  Timer ping_;
  std::chrono::milliseconds interval_{0};
};

}  // namespace allot::daemon
