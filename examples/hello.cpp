// One object, two processes, no copy: made by one, adopted, read and freed by the other.
//
// Needs a daemon: allotd --runtime-dir DIR, and ALLOT_RUNTIME_DIR=DIR for this program.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

#include <allot/session.hpp>

namespace {

struct Greeting {
  std::array<char, 32> text;
};

int fail(const allot::Error& error) {
  std::fprintf(stderr, "hello: %s\n", error.message().c_str());
  return 1;
}

int give(int pipe_fd) {
  auto session = allot::Session::connect();  // default socket, default region
  if (!session) return fail(session.error());
  auto greeting = session->make<Greeting>(Greeting{{"hello from another process"}});
  if (!greeting) return fail(allot::Session::last_error());
  const auto ticket = greeting.offer();  // 8 bytes: send them any way you like
  if (!ticket) return fail(ticket.error());
  if (::write(pipe_fd, &*ticket, sizeof *ticket) != sizeof *ticket) return 1;
  int status = 1;
  ::wait(&status);  // until it is adopted it is ours, and freed at our end
  return status == 0 ? 0 : 1;
}

int take(int pipe_fd) {
  allot::Handle ticket;
  if (::read(pipe_fd, &ticket, sizeof ticket) != sizeof ticket) return 1;
  auto session = allot::Session::connect();
  if (!session) return fail(session.error());
  auto greeting = session->adopt<Greeting>(ticket);  // ours from here on; freed at the brace
  if (!greeting) return fail(greeting.error());
  return std::puts((*greeting)->text.data()) < 0 ? 1 : 0;
}

}  // namespace

int main() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return 1;
  const pid_t receiver = ::fork();
  if (receiver < 0) return 1;
  ::close(receiver == 0 ? ends[1] : ends[0]);
  return receiver == 0 ? take(ends[0]) : give(ends[1]);
}
