// Child: a process that allot_bench starts, talks to by lines, and ends.
//
// Its standard input and output are one socket to the driver; it is killed with the driver, and in
// the destructor. Failures throw: a benchmark that cannot run has nothing to say.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace allot::bench {

inline constexpr std::chrono::seconds kDeadline{60};

/// Owns a file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  /// Throws std::system_error for `what` if `value` is negative.
  Descriptor(int value, const char* what);
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  [[nodiscard]] int get() const noexcept { return value_; }

 private:
  int value_ = -1;
};

/// Waits until one of the descriptors can be read; false after `timeout`.
[[nodiscard]] bool wait_readable(const std::vector<int>& descriptors,
                                 std::chrono::milliseconds timeout);

struct Command {
  std::vector<std::string> arguments;    // the program first
  std::vector<std::string> environment;  // NAME=VALUE, in place of the driver's own NAME
};

class Child {
 public:
  explicit Child(const Command& command);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Can be read once the process has ended.
  [[nodiscard]] const Descriptor& pidfd() const noexcept { return pidfd_; }
  void send_signal(int signal) const;

  void write_line(const std::string& line) const;
  /// The next line of its output; throws if the process ends, or after kDeadline.
  [[nodiscard]] std::string read_line();
  /// Everything up to the end of its output; throws after kDeadline without any.
  [[nodiscard]] std::string read_all();

 private:
  /// Reads what there is; false at the end of the output.
  [[nodiscard]] bool read_more();

  std::string name_;
  pid_t pid_ = -1;
  Descriptor pidfd_;
  Descriptor socket_;
  std::string unread_;
};

}  // namespace allot::bench
