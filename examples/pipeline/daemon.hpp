// Daemon: an allotd of this run's own, and what allotctl says about it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "examples/pipeline/child.hpp"
#include "examples/pipeline/wait.hpp"

namespace pipeline {

/// What the region holds, by `allotctl stats --json`.
struct Holdings {
  std::uint64_t sessions = 0;
  std::uint64_t granted_bytes = 0;

  [[nodiscard]] bool none() const noexcept { return sessions == 0 && granted_bytes == 0; }
};

class Daemon {
 public:
  /// Starts it with its sockets in `directory` and waits until it says that it is ready. A Failure
  /// carries what it wrote to its log.
  Daemon(const std::string& allotd, std::string allotctl, std::filesystem::path directory);

  [[nodiscard]] Child& process() noexcept { return *process_; }
  /// What it wrote to standard error so far.
  [[nodiscard]] std::string log() const;

  /// Runs `allotctl COMMAND...` against it.
  [[nodiscard]] Captured allotctl(const std::vector<std::string>& command) const;
  [[nodiscard]] Holdings holdings() const;
  /// Waits until nothing is held any more, or until it is clear that something stays; says what.
  [[nodiscard]] Holdings wait_until_empty() const;

  /// Asks it to end and waits until it has.
  ExitStatus stop();

 private:
  void wait_until_ready(int notify_fd);

  std::string allotctl_;
  std::filesystem::path directory_;
  std::optional<Child> process_;
};

}  // namespace pipeline
