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

Reception receive_bytes(int fd, void* bytes, std::size_t message_bytes, std::size_t most,
                        std::size_t& count, Patience patience) {
  const int flags = MSG_TRUNC | (patience == Patience::kNoWait ? MSG_DONTWAIT : 0);
  for (;;) {
    const ssize_t got = ::recv(fd, bytes, most * message_bytes, flags);
    count = got > 0 ? static_cast<std::size_t>(got) / message_bytes : 0;
    if (count > 0 && count <= most && static_cast<std::size_t>(got) % message_bytes == 0) {
      return Reception::kMessage;
    }
    if (got == 0 || (got < 0 && errno == ECONNRESET)) return Reception::kClosed;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Reception::kNothing;
    if (got > 0) {
      throw Failure(ExitCode::kWrong, "a datagram of " + std::to_string(got) +
                                          " bytes, not of messages of " +
                                          std::to_string(message_bytes));
    }
    if (errno != EINTR) throw system_failure("recv");
  }
}

}  // namespace pipeline
