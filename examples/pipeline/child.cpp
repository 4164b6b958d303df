#include "examples/pipeline/child.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <utility>

#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/failure.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace pipeline {

namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_with(const std::vector<std::string>& added) {
  std::vector<std::string> out = added;  // the first of two equal names is what getenv() finds
  for (char** one = environ; *one != nullptr; ++one) out.emplace_back(*one);
  return out;
}

// In the child, between fork and exec: only async-signal-safe calls. Returns if it cannot go on.
void become(const Command& command, char* const* arguments, char* const* environment,
            pid_t parent) {
  // A child must not outlive a killed orchestrator; if that died already, nobody will tell us.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || ::getppid() != parent) return;
  // Ctrl-C is for the orchestrator, who ends everybody in order.
  if (::setpgid(0, 0) != 0) return;
  // Via copies: the two may be each other's numbers.
  const int output = ::fcntl(command.output_fd, F_DUPFD_CLOEXEC, 3);
  const int error = ::fcntl(command.error_fd, F_DUPFD_CLOEXEC, 3);
  if (output < 0 || error < 0 || ::dup2(output, 1) < 0 || ::dup2(error, 2) < 0) return;
  for (const int fd : command.inherited) {
    if (::fcntl(fd, F_SETFD, 0) != 0) return;
  }
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) {
    ::sigaction(number, &standard, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvpe(arguments[0], arguments, environment);
}

// Forks and executes; a Failure if either does not succeed.
pid_t start(const Command& command) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = environment_with(command.environment);
  const std::vector<char*> argument_pointers = pointers(arguments);
  const std::vector<char*> environment_pointers = pointers(environment);
  // Closed by a successful exec, or tells why there was none.
  DescriptorPair trouble = make_pipe();
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) throw system_failure("fork");
  if (child == 0) {
    become(command, argument_pointers.data(), environment_pointers.data(), parent);
    const int error = errno;
    (void)!::write(trouble.second.get(), &error, sizeof error);
    ::_exit(127);
  }
  trouble.second.reset();
  int error = 0;
  if (::read(trouble.first.get(), &error, sizeof error) > 0) {
    ::waitpid(child, nullptr, 0);
    errno = error;
    throw system_failure("starting " + command.arguments.front());
  }
  return child;
}

// By number: the wrapper of glibc 2.36 has no C linkage.
Descriptor open_pidfd(pid_t child) {
  const long fd = ::syscall(SYS_pidfd_open, child, 0U);
  if (fd >= 0) return Descriptor(static_cast<int>(fd));
  const int error = errno;
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  errno = error;
  throw system_failure("pidfd_open");
}

}  // namespace

std::string ExitStatus::describe() const {
  return signal != 0 ? "signal " + std::to_string(signal) : "exit status " + std::to_string(code);
}

Child::Child(std::string name, const Command& command)
    : name_(std::move(name)), pid_(start(command)), pidfd_(open_pidfd(pid_)) {}

Child::~Child() {
  if (!pidfd_ || status_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Child::signal(int number) const {
  if (running()) ::kill(pid_, number);  // not reaped, so the pid is still this child's
}

std::optional<ExitStatus> Child::try_reap() {
  if (status_) return status_;
  int raw = 0;
  const pid_t reaped = ::waitpid(pid_, &raw, WNOHANG);
  if (reaped < 0) throw system_failure("waitpid " + name_);
  if (reaped == 0) return std::nullopt;
  ExitStatus status;
  if (WIFSIGNALED(raw)) status.signal = WTERMSIG(raw);
  if (WIFEXITED(raw)) status.code = WEXITSTATUS(raw);
  status_ = status;
  return status_;
}

ExitStatus Child::wait(const Deadline& deadline) {
  while (!try_reap()) {
    std::array<pollfd, 1> entry{pollfd{pidfd_.get(), POLLIN, 0}};
    wait_for(entry, deadline);
  }
  return *status_;
}

Captured capture(const std::string& name, Command command, const Deadline& deadline) {
  DescriptorPair pipe = make_pipe();
  command.output_fd = pipe.second.get();
  Child child(name, command);
  pipe.second.reset();
  Captured captured;
  std::array<char, 65536> buffer{};
  for (;;) {
    std::array<pollfd, 1> entry{pollfd{pipe.first.get(), POLLIN, 0}};
    wait_for(entry, deadline);
    const ssize_t got = ::read(pipe.first.get(), buffer.data(), buffer.size());
    if (got == 0) break;
    if (got > 0) captured.output.append(buffer.data(), static_cast<std::size_t>(got));
    if (got < 0 && errno != EINTR) throw system_failure("reading from " + name);
  }
  captured.status = child.wait(deadline);
  return captured;
}

}  // namespace pipeline
