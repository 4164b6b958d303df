#include "tests/support/watched_program.hpp"

#include <fcntl.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>

#include "shared/platform/seqpacket.hpp"

namespace allot::test {

WatchedProgram::WatchedProgram(std::vector<std::string> arguments, On where) {
  std::array<int, 2> ends{};
  winsize size{};
  size.ws_row = 50;
  size.ws_col = 200;
  const int made = where == On::kPipe ? ::pipe2(ends.data(), O_CLOEXEC)
                                      : ::openpty(ends.data(), &ends[1], nullptr, nullptr, &size);
  if (made != 0) throw std::runtime_error("no pipe or terminal");
  output_ = platform::Descriptor(ends[0]);
  platform::Descriptor theirs(ends[1]);
  if (where == On::kTerminal) (void)::tcgetattr(theirs.get(), &settings_before_);
  std::vector<char*> argv;
  for (std::string& one : arguments) argv.push_back(one.data());
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (where == On::kTerminal) {
      ::setsid();
      ::ioctl(theirs.get(), TIOCSCTTY, 0);
      ::dup2(theirs.get(), STDIN_FILENO);
    }
    ::dup2(theirs.get(), STDOUT_FILENO);
    ::dup2(theirs.get(), STDERR_FILENO);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  child_ = ChildProcess(pid);
  if (where == On::kTerminal) terminal_ = std::move(theirs);
}

bool WatchedProgram::read_some() {
  if (!platform::wait_readable(output_, std::chrono::steady_clock::now() + kPatience)) {
    throw std::runtime_error("it printed no more than: " + unread_);
  }
  std::array<char, 4096> buffer;
  const ssize_t size = ::read(output_.get(), buffer.data(), buffer.size());
  if (size > 0) unread_.append(buffer.data(), static_cast<std::size_t>(size));
  return size > 0;
}

std::string WatchedProgram::read_to(const std::string& text) {
  std::size_t at = unread_.find(text);
  for (; at == std::string::npos; at = unread_.find(text)) {
    if (!read_some()) throw std::runtime_error("it ended before it printed: " + text);
  }
  std::string out = unread_.substr(0, at + text.size());
  unread_.erase(0, out.size());
  return out;
}

std::string WatchedProgram::read_all() {
  while (read_some()) {
  }
  return std::move(unread_);
}

void WatchedProgram::type(const std::string& keys) const {
  if (::write(output_.get(), keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) {
    throw std::runtime_error("write to the terminal");
  }
}

termios WatchedProgram::settings() const {
  termios out{};
  if (::tcgetattr(terminal_.get(), &out) != 0) throw std::runtime_error("tcgetattr");
  return out;
}

int WatchedProgram::wait() {
  const int status = child_.wait();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace allot::test
