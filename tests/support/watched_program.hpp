// WatchedProgram: a program that runs on while a test reads what it prints and types at it.
//
// Its output goes to a pipe, or it has a terminal of its own. Every wait has a deadline and throws
// when it passes. The program dies with the test.
#pragma once

#include <termios.h>

#include <string>
#include <vector>

#include "shared/platform/descriptor.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

class WatchedProgram {
 public:
  enum class On : std::uint8_t { kPipe, kTerminal };

  WatchedProgram(std::vector<std::string> arguments, On where);

  /// Reads until `text` has been printed behind what was read before; returns what was read.
  std::string read_to(const std::string& text);
  /// What is left until its end.
  std::string read_all();
  /// Keys pressed; on a terminal.
  void type(const std::string& keys) const;
  /// How its terminal is set now.
  [[nodiscard]] termios settings() const;
  /// How it was set before the program began.
  [[nodiscard]] const termios& settings_before() const noexcept { return settings_before_; }

  void signal(int number) const { child_.signal(number); }
  /// Waits for its end: the exit status, or -1 for a signal.
  int wait();

 private:
  /// False at the end of the output.
  bool read_some();

  platform::Descriptor output_;  // the pipe's end, or the terminal's
  platform::Descriptor
      terminal_;  // kept open, so that it can be looked at when the program is gone
  termios settings_before_{};
  std::string unread_;
  ChildProcess child_;
};

}  // namespace allot::test
