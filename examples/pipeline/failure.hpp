// Failure: why a run cannot go on, with the exit status that says whose fault it is.
//
// Thrown by every part of the example, caught in main() only. What can be lived with (a file that
// cannot be read, a worker that was killed) is a value, not a Failure.
#pragma once

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

namespace pipeline {

enum class ExitCode : int {
  kOk = 0,
  kWrong = 1,  // a digest differs, memory is still held, the audit failed, a role failed
  kUsage = 2,
  kEnvironment = 3,  // no daemon, no sha256sum, a system call failed, interrupted
};

class Failure : public std::runtime_error {
 public:
  Failure(ExitCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
  [[nodiscard]] ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// The Failure of a system call that has just set errno.
[[nodiscard]] inline Failure system_failure(const std::string& call) {
  return {ExitCode::kEnvironment, call + ": " + std::generic_category().message(errno)};
}

}  // namespace pipeline
