#include "tests/support/forked_child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace allot::test {

namespace {

constexpr unsigned kHangSeconds = 60;
constexpr int kEventMilliseconds = 10'000;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

[[noreturn]] void run_child(const std::function<int()>& body, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // 0: the parent is of another pid namespace.
  if (const pid_t now = ::getppid(); now != parent && now != 0) ::_exit(EXIT_FAILURE);
  const rlimit no_core{0, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
  }
  for (const int number : {SIGSEGV, SIGBUS, SIGABRT}) (void)std::signal(number, SIG_DFL);
  ::alarm(kHangSeconds);
  ::_exit(body());
}

pid_t start_child(const std::function<int()>& body) {
  const pid_t parent = ::getpid();
  (void)std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) run_child(body, parent);
  return pid;
}

bool wait_event(const platform::Descriptor& reader) {
  pollfd entry{reader.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&entry, 1, kEventMilliseconds)) < 0 && errno == EINTR) {
  }
  return ready > 0;
}

}  // namespace

ForkedChild::ForkedChild(const std::function<int()>& body) : pid_(start_child(body)) {}

ForkedChild::~ForkedChild() {
  if (pid_ > 0) kill();
}

Ending ForkedChild::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) give_up("waitpid");
  }
  pid_ = -1;
  if (WIFEXITED(status)) return exited(WEXITSTATUS(status));
  return {-1, WTERMSIG(status), WCOREDUMP(status) != 0};
}

void ForkedChild::kill() {
  ::kill(pid_, SIGKILL);
  (void)wait();
}

Ending run_in_child(const std::function<int()>& body) { return ForkedChild(body).wait(); }

Pipe::Pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) give_up("pipe2");
  reader_ = platform::Descriptor(ends[0]);
  writer_ = platform::Descriptor(ends[1]);
}

void Pipe::put(std::uint64_t value) const {
  if (::write(writer_.get(), &value, sizeof(value)) != sizeof(value)) give_up("write(pipe)");
}

std::optional<std::uint64_t> Pipe::take() const {
  std::uint64_t value = 0;
  if (!wait_event(reader_)) return std::nullopt;
  if (::read(reader_.get(), &value, sizeof(value)) != sizeof(value)) return std::nullopt;
  return value;
}

bool Pipe::wait_closed() const {
  std::uint64_t value = 0;
  while (wait_event(reader_)) {
    if (::read(reader_.get(), &value, sizeof(value)) == 0) return true;
  }
  return false;
}

}  // namespace allot::test
