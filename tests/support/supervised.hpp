// Supervised: a real `allotd --supervise`, and the daemon below it.
//
// Both end with this object: the daemon would outlive a supervisor that is killed.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <sstream>
#include <stdexcept>
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

  // The supervisor's child: the daemon, though it may not serve as yet; 0 while there is none.
  [[nodiscard]] pid_t worker() const {
    const std::string pid = std::to_string(supervisor.pid());
    std::istringstream children(read_file("/proc/" + pid + "/task/" + pid + "/children"));
    pid_t child = 0;
    children >> child;
    return child;
  }
  // Waits for one that is another than `old`.
  [[nodiscard]] pid_t next_worker(pid_t old) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    for (;;) {
      if (const pid_t next = worker(); next != 0 && next != old) return next;
      if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("no other daemon");
    }
  }

  // Until the next READY=1.
  void wait_until_ready() {
    while (supervisor.next_notification().find("READY=1") == std::string::npos) {
    }
  }

  DaemonProcess supervisor;
};

}  // namespace allot::test
