#include "examples/pipeline/channel.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

DescriptorPair make_channel() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw system_failure("socketpair");
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

DescriptorPair make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_failure("pipe2");
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

bool send_bytes(int fd, const void* bytes, std::size_t size_bytes) {
  for (;;) {
    if (::send(fd, bytes, size_bytes, MSG_NOSIGNAL) >= 0) return true;
    if (errno == EPIPE || errno == ECONNRESET) return false;
    if (errno != EINTR) throw system_failure("send");
  }
}

Reception receive_bytes(int fd, void* bytes, std::size_t size_bytes, Patience patience) {
  const int flags = MSG_TRUNC | (patience == Patience::kNoWait ? MSG_DONTWAIT : 0);
  for (;;) {
    const ssize_t got = ::recv(fd, bytes, size_bytes, flags);
    if (got == static_cast<ssize_t>(size_bytes)) return Reception::kMessage;
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return Reception::kClosed;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Reception::kNothing;
    if (got > 0) {
      throw Failure(ExitCode::kWrong, "a message of " + std::to_string(got) + " bytes, not " +
                                          std::to_string(size_bytes));
    }
    if (errno != EINTR) throw system_failure("recv");
  }
}

}  // namespace pipeline
