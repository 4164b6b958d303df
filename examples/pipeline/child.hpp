// Child: a process that the orchestrator started. It never outlives the Child, nor the
// orchestrator.
//
// Everything the orchestrator holds is close-on-exec; a child inherits its standard descriptors and
// those its Command names, under the same numbers.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "examples/pipeline/descriptor.hpp"
#include "examples/pipeline/wait.hpp"

namespace pipeline {

struct Command {
  std::vector<std::string> arguments;    // the first is the program, looked up in PATH
  std::vector<std::string> environment;  // NAME=VALUE, added to our own
  std::vector<int> inherited;
  int output_fd = 1;  // becomes its standard output
  int error_fd = 2;   // becomes its standard error
};

struct ExitStatus {
  int code = 0;
  int signal = 0;  // not 0: what killed it

  [[nodiscard]] bool succeeded() const noexcept { return code == 0 && signal == 0; }
  /// "exit status 1", "signal 9".
  [[nodiscard]] std::string describe() const;
};

class Child {
 public:
  /// Starts it; a Failure says why it could not be executed. `name` is for messages.
  Child(std::string name, const Command& command);
  Child(Child&&) noexcept = default;
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Kills it if it still runs, and reaps it.
  ~Child();

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Readable once it has ended.
  [[nodiscard]] int exit_fd() const noexcept { return pidfd_.get(); }
  [[nodiscard]] bool running() const noexcept { return !status_.has_value(); }

  void signal(int number) const;
  /// Its status once it has ended; nullopt while it runs.
  std::optional<ExitStatus> try_reap();
  ExitStatus wait(const Deadline& deadline);

 private:
  std::string name_;
  pid_t pid_ = -1;
  Descriptor pidfd_;
  std::optional<ExitStatus> status_;
};

/// A child's standard output, whole, and its status; what it writes to standard error is passed on.
struct Captured {
  std::string output;
  ExitStatus status;
};
[[nodiscard]] Captured capture(const std::string& name, Command command, const Deadline& deadline);

}  // namespace pipeline
