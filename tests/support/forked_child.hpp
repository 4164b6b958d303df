// ForkedChild: one function in a forked process, and how that process ended.
//
// For tests of what ends a process, of limits, and of what several processes do to one memory. The
// child dumps no core, has the default signal handlers, dies with the test program and is ended by
// SIGALRM if it hangs. GoogleTest's assertions mean nothing in it: it answers by its exit status,
// or through a Pipe. Not for use beside other threads of the test program.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>

#include "shared/platform/descriptor.hpp"

namespace allot::test {

/// An exit status by which a child says that this machine or user does not allow the test.
inline constexpr int kSkipped = 77;

struct Ending {
  int exit_status = -1;  // -1: ended by a signal
  int signal = 0;
  bool dumped_core = false;

  friend bool operator==(const Ending&, const Ending&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Ending& ending) {
    if (ending.signal == 0) return out << "exited with " << ending.exit_status;
    return out << "ended by signal " << ending.signal
               << (ending.dumped_core ? ", with a core" : "");
  }
};

/// How a child ends whose function returned `status`.
inline Ending exited(int status) { return {status, 0, false}; }

class ForkedChild {
 public:
  /// Starts a child that runs `body` and exits with what it returns; no destructor runs after it.
  explicit ForkedChild(const std::function<int()>& body);
  ForkedChild(const ForkedChild&) = delete;
  ForkedChild& operator=(const ForkedChild&) = delete;
  /// Kills the child if it still runs, and reaps it.
  ~ForkedChild();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  /// Reaps the child and says how it ended. Once.
  Ending wait();
  /// Kills the child by SIGKILL and reaps it.
  void kill();

 private:
  pid_t pid_ = -1;
};

/// Runs `body` in a child of its own and waits for its end.
Ending run_in_child(const std::function<int()>& body);

/// A way for two processes to tell each other things, in order. Both ends are close-on-exec.
class Pipe {
 public:
  Pipe();

  void put(std::uint64_t value) const;
  /// The next value; nothing if every writer is gone or ten seconds have passed.
  [[nodiscard]] std::optional<std::uint64_t> take() const;
  /// True once every writer is gone (wait: at most ten seconds). Values not taken are lost.
  [[nodiscard]] bool wait_closed() const;
  /// Closes this process's end for writing, so that take() can see that others closed theirs.
  void close_writer() noexcept { writer_.reset(); }
  void close_reader() noexcept { reader_.reset(); }
  /// The descriptor that take() reads.
  [[nodiscard]] int reader() const noexcept { return reader_.get(); }

 private:
  platform::Descriptor reader_;
  platform::Descriptor writer_;
};

}  // namespace allot::test
