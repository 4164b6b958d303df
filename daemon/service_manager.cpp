#include "daemon/service_manager.hpp"

#include <systemd/sd-daemon.h>

#include <algorithm>
#include <cstdint>

namespace allot::daemon {

void ServiceManager::ready(const std::string& status) {
  ::sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
  std::uint64_t watchdog_us = 0;
  if (::sd_watchdog_enabled(0, &watchdog_us) <= 0) return;
  interval_ = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::microseconds(watchdog_us / 2)),
                       std::chrono::milliseconds(1));
  ping();
}

void ServiceManager::ping() {
  ::sd_notify(0, "WATCHDOG=1");
  ping_.start(interval_, [this] { ping(); });
}

void ServiceManager::stopping() { ::sd_notify(0, "STOPPING=1\nSTATUS=stopping"); }

}  // namespace allot::daemon
