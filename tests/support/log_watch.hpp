// LogWatch: waits until a daemon's log says something. It must begin before that is said.
#pragma once

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>

#include "shared/platform/seqpacket.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

class LogWatch {
 public:
  explicit LogWatch(const DaemonProcess& daemon) : daemon_(daemon) {
    if (::inotify_add_watch(changes_.get(), daemon.log_file().c_str(), IN_MODIFY) < 0) {
      throw std::runtime_error("the log cannot be watched");
    }
  }

  [[nodiscard]] bool says(const std::string& text) const {
    return daemon_.log().find(text) != std::string::npos;
  }
  /// Throws after kPatience.
  void await(const std::string& text) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!says(text)) {
      if (!platform::wait_readable(changes_, deadline)) {
        throw std::runtime_error("the log never says: " + text);
      }
      take_changes();
    }
  }

  /// Readable when the log has grown since take_changes().
  [[nodiscard]] int descriptor() const noexcept { return changes_.get(); }
  void take_changes() const {
    std::array<char, 4096> events;
    (void)!::read(changes_.get(), events.data(), events.size());
  }

 private:
  const DaemonProcess& daemon_;
  platform::Descriptor changes_{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
};

}  // namespace allot::test
