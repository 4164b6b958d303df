// Daemon: an allotd of the driver's own, with a private runtime directory.
//
// The constructor returns once the daemon has said that it is ready. It is killed, and its
// directory removed, in the destructor.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "bench/child.hpp"

namespace allot::bench {

/// A new directory, removed with everything in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

class Daemon {
 public:
  /// `watchdog` is the interval that the service manager would ask for; 0: none.
  explicit Daemon(std::chrono::milliseconds watchdog = std::chrono::milliseconds{0});

  [[nodiscard]] pid_t pid() const noexcept { return child_.pid(); }
  /// Where its sockets are: what its clients need in their environment as ALLOT_RUNTIME_DIR.
  [[nodiscard]] const std::filesystem::path& runtime_dir() const noexcept {
    return directory_.path();
  }
  [[nodiscard]] std::string environment() const {
    return "ALLOT_RUNTIME_DIR=" + runtime_dir().string();
  }

  /// The next notification (sd_notify(3)); empty after `timeout`. Throws if the daemon has ended.
  [[nodiscard]] std::string next_notification(std::chrono::milliseconds timeout) const;

 private:
  TemporaryDirectory directory_;
  Descriptor notify_;
  Child child_;
};

}  // namespace allot::bench
