// SyscallInjector: at the n-th system call of a daemon, kills it or makes that call fail.
//
// For a daemon below a supervisor. A process beside them traces both by ptrace(2); it counts the system
// calls of one generation, the 1st or 2nd ... process that the supervisor forks, from the fork on. By
// ptrace and not by strace, whose `when=` counts each call by its name alone, over all that it traces: here
// one number goes over all calls of one daemon in their order.
//
// An error is injected only into calls that may end with it by their manual pages, or could in a kernel
// without memory; no other call is counted then. The call is not made. x86-64 only: kWorks.
//
//   SyscallInjector injector({.generation = 2, .at = 17});
//   Supervised allotd({.before_exec = [&] { injector.trace_this_process(); }});
//
// The tracer ends with its object and takes what it traces with it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "shared/platform/descriptor.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

struct Injection {
  unsigned generation = 1;
  std::uint64_t at = 0;  // 1 ..; 0: calls are counted only
  int error = 0;         // 0: SIGKILL instead of the call
};

class SyscallInjector {
 public:
#if defined(__x86_64__)
  static constexpr bool kWorks = true;
#else
  static constexpr bool kWorks = false;
#endif

  explicit SyscallInjector(const Injection& injection);
  SyscallInjector(const SyscallInjector&) = delete;
  SyscallInjector& operator=(const SyscallInjector&) = delete;
  ~SyscallInjector();

  /// In the process that is about to execute the supervisor. Ends it if it cannot be traced.
  void trace_this_process() const;

  /// Whether it injects and counts; at first it does.
  void arm(bool on) const;
  /// How many calls there were that this could have been injected into: an error, or 0 for SIGKILL.
  [[nodiscard]] std::uint64_t counted(int error) const;
  /// How many daemons there were.
  [[nodiscard]] unsigned generations() const;
  [[nodiscard]] bool was_made() const;
  /// The call that it was made at, for messages.
  [[nodiscard]] std::string what() const;

 private:
  struct Shared;  // with the tracer

  [[noreturn]] void run_tracer(pid_t parent, int link) const;

  Injection injection_;
  Shared* shared_;
  platform::Descriptor link_;
  ChildProcess tracer_;
};

}  // namespace allot::test
