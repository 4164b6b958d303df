#include "bench/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace allot::bench {

namespace {

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// The driver's own variables, but for those that `changed` names. Left in twice, LD_PRELOAD would
// be the wrong one: the dynamic linker takes the last.
std::vector<std::string> environment_with(const std::vector<std::string>& changed) {
  std::vector<std::string> environment = changed;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string inherited = *entry;
    const auto same_name = [&inherited](const std::string& text) {
      return inherited.starts_with(text.substr(0, text.find('=') + 1));
    };
    if (std::none_of(changed.begin(), changed.end(), same_name)) environment.push_back(inherited);
  }
  return environment;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Only what may be called after the fork of a process that has threads.
[[noreturn]] void become(int socket, pid_t parent, char* const* arguments,
                         char* const* environment) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(socket, STDIN_FILENO);
  dup2(socket, STDOUT_FILENO);
  execve(arguments[0], arguments, environment);
  _exit(127);
}

}  // namespace

Descriptor::Descriptor(int value, const char* what) : value_(value) {
  if (value < 0) throw_errno(what);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(value_, other.value_);
  return *this;
}

Descriptor::~Descriptor() {
  if (value_ >= 0) close(value_);
}

bool wait_readable(const std::vector<int>& descriptors, std::chrono::milliseconds timeout) {
  std::vector<pollfd> polled;
  polled.reserve(descriptors.size());
  for (const int descriptor : descriptors) polled.push_back({descriptor, POLLIN, 0});
  const auto end = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    const int ready = poll(polled.data(), polled.size(),
                           static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready >= 0) return ready > 0;
    if (errno != EINTR) throw_errno("poll");
  }
}

Child::Child(const Command& command) : name_(command.arguments.front()) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw_errno("socketpair");
  }
  socket_ = Descriptor(ends[0], "socketpair");
  const Descriptor theirs(ends[1], "socketpair");

  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = environment_with(command.environment);
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> environment_pointers = pointers_to(environment);

  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw_errno("fork");
  if (pid_ == 0) {
    become(theirs.get(), parent, argument_pointers.data(), environment_pointers.data());
  }
  pidfd_ = Descriptor(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)), "pidfd_open");
}

Child::Child(Child&& other) noexcept
    : name_(std::move(other.name_)),
      pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      socket_(std::move(other.socket_)),
      unread_(std::move(other.unread_)) {}

Child::~Child() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);  // not reaped yet, so the number is still its own
  waitpid(pid_, nullptr, 0);
}

void Child::send_signal(int signal) const {
  if (kill(pid_, signal) != 0) throw_errno("kill");
}

void Child::write_line(const std::string& line) const {
  const std::string text = line + '\n';
  // A line is far smaller than the socket's buffer, so it goes out whole.
  if (send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(text.size())) {
    throw_errno(name_);
  }
}

std::string Child::read_line() {
  for (;;) {
    const std::size_t end = unread_.find('\n');
    if (end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (!read_more()) throw std::runtime_error(name_ + " ended");
  }
}

std::string Child::read_all() {
  while (read_more()) {
  }
  return std::exchange(unread_, {});
}

bool Child::read_more() {
  if (!wait_readable({socket_.get()}, kDeadline)) {
    throw std::runtime_error(name_ + " does not answer");
  }
  std::array<char, 4096> buffer{};
  const ssize_t count = read(socket_.get(), buffer.data(), buffer.size());
  if (count < 0) throw_errno(name_);
  unread_.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

}  // namespace allot::bench
