#include "examples/pipeline/wait.hpp"

#include <algorithm>
#include <csignal>
#include <ctime>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

namespace {

volatile std::sig_atomic_t interrupted = 0;

void note_interrupt(int signal) { interrupted = signal; }

int poll_once(std::span<pollfd> entries, std::chrono::nanoseconds timeout) {
  using namespace std::chrono;
  const auto whole = duration_cast<seconds>(timeout);
  const timespec spec{whole.count(), (timeout - whole).count()};
  sigset_t none;
  sigemptyset(&none);
  const int ready = ::ppoll(entries.data(), entries.size(), &spec, &none);
  if (interrupted != 0) throw Failure(ExitCode::kEnvironment, "interrupted");
  if (ready < 0 && errno != EINTR) throw system_failure("ppoll");
  return std::max(ready, 0);
}

}  // namespace

std::uint64_t monotonic_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

void catch_interrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&signals, signal);
    ::sigaction(signal, &action, nullptr);
  }
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
}

void check_interrupted() { poll_once({}, std::chrono::nanoseconds::zero()); }

int wait_for(std::span<pollfd> entries, const Deadline& deadline) {
  for (;;) {
    const int ready = poll_once(entries, deadline.remaining());
    if (ready > 0) return ready;
    if (deadline.passed()) {
      throw Failure(ExitCode::kWrong, "deadline passed while waiting for " + deadline.what());
    }
  }
}

int wait_for_at_most(std::span<pollfd> entries, std::chrono::milliseconds pause,
                     const Deadline& deadline) {
  const auto timeout = std::min<Deadline::Clock::duration>(pause, deadline.remaining());
  const int ready = poll_once(entries, timeout);
  if (ready == 0 && deadline.passed()) {
    throw Failure(ExitCode::kWrong, "deadline passed while waiting for " + deadline.what());
  }
  return ready;
}

}  // namespace pipeline
