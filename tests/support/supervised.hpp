// Supervised: a real `allotd --supervise`, and the daemon below it.
//
// Both end with this object: the daemon would outlive a supervisor that is killed.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <string>

#include "tests/support/daemon_process.hpp"

namespace allot::test {

[[nodiscard]] inline DaemonProcess::Options supervised(DaemonProcess::Options options = {}) {
  options.arguments.emplace_back("--supervise");
  return options;
}

class Supervised {
 public:
  explicit Supervised(const DaemonProcess::Options& options = {},
                      const std::string& program = ALLOT_ALLOTD_PATH)
      : supervisor(program, supervised(options)) {}
  Supervised(const Supervised&) = delete;
  Supervised& operator=(const Supervised&) = delete;
  ~Supervised() {
    supervisor.signal(SIGTERM);
    supervisor.wait();
  }

  // The pid in the lock of the directory: of the daemon that serves, or served.
  [[nodiscard]] pid_t daemon() const {
    return std::stoi(read_file(supervisor.runtime_dir() / "allotd.lock"));
  }

  // Until the next READY=1.
  void wait_until_ready() {
    while (supervisor.next_notification().find("READY=1") == std::string::npos) {
    }
  }

  DaemonProcess supervisor;
};

}  // namespace allot::test
