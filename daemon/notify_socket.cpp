#include "daemon/notify_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

#include "daemon/log.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

constexpr std::chrono::milliseconds kPause{10};

Expected<platform::Descriptor> connect_to(std::string_view name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((name.front() != '/' && name.front() != '@') || name.size() >= sizeof(address.sun_path)) {
    return Error(Errc::kBadArgument, "it names no socket of this machine");
  }
  std::memcpy(&address.sun_path[0], name.data(), name.size());
  if (name.front() == '@') address.sun_path[0] = '\0';  // an abstract name, of exactly this length
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() +
                                             (name.front() == '@' ? 0 : 1));
  platform::Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return platform::system_error("socket");
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    if (errno != EINTR) return platform::system_error("connect");
  }
  return socket;
}

// Owns nothing if there is none to connect to.
Expected<platform::Descriptor> connect_to_manager() {
  const char* const name = std::getenv("NOTIFY_SOCKET");
  if (name == nullptr || *name == '\0') return platform::Descriptor();
  auto socket = connect_to(name);
  if (socket || platform::is_shortage(socket.error().code)) return socket;
  log_warning("NOTIFY_SOCKET=" + one_line(name) + ": " + socket.error().message() +
              "; the service manager will not hear of this daemon");
  return platform::Descriptor();
}

}  // namespace

NotifySocket::NotifySocket(boost::asio::io_context& context, Timers& timers)
    : NotifySocket(context, timers, connect_to_manager()) {}

NotifySocket::NotifySocket(boost::asio::io_context& context, Timers& timers,
                           Expected<platform::Descriptor> connection)
    : has_manager_(!connection || *connection),
      socket_(context, connection ? std::move(*connection) : platform::Descriptor()),
      pause_(timers) {
  if (!connection) {
    shortage_ = Error(connection.error().code, "NOTIFY_SOCKET: " + connection.error().detail);
  } else if (has_manager_ && !socket_) {
    shortage_ = Error(Errc::kSystem, "the event loop refuses NOTIFY_SOCKET");
  }
}

void NotifySocket::send(std::string_view text, int descriptor, Refused refused) {
  if (!socket_) return;
  std::optional<Error> reason;
  if (waiting_.empty()) {
    reason = deliver(text, descriptor, refused);
    if (!reason) return;
  }
  platform::Descriptor copy;
  if (descriptor >= 0) {
    copy = platform::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
    if (!copy) return refuse(platform::system_error("fcntl(F_DUPFD_CLOEXEC)"), refused);
  }
  waiting_.push_back({std::string(text), std::move(copy), std::move(refused)});
  if (reason) wait(*reason);
}

void NotifySocket::flush(platform::Deadline deadline) {
  while (const auto reason = deliver_waiting()) {
    if (!platform::would_block(*reason)) return;
    if (!platform::wait_writable(socket_.get(), deadline)) return;
  }
}

// Sends it, or drops it if that can never be. Otherwise why it must wait.
std::optional<Error> NotifySocket::deliver(std::string_view text, int descriptor,
                                           const Refused& refused) {
  if (refused && lost_) {
    refuse(*std::exchange(lost_, std::nullopt), refused);
    return std::nullopt;
  }
  const std::span<const int> descriptors(&descriptor, descriptor < 0 ? 0 : 1);
  const auto sent =
      platform::send_message(socket_.get(), std::as_bytes(std::span(text)), descriptors);
  if (sent) return std::nullopt;
  if (platform::would_block(sent.error()) || platform::is_shortage(sent.error().code))
    return sent.error();
  refuse(sent.error(), refused);
  return std::nullopt;
}

std::optional<Error> NotifySocket::deliver_waiting() {
  while (!waiting_.empty()) {
    const Message& first = waiting_.front();
    if (auto reason = deliver(first.text, first.descriptor.get(), first.refused)) return reason;
    waiting_.pop_front();
  }
  return std::nullopt;
}

void NotifySocket::wait(const Error& reason) {
  if (std::exchange(awaits_room_, true)) return;
  const auto again = [this] {
    awaits_room_ = false;
    if (const auto still = deliver_waiting()) wait(*still);
  };
  if (!platform::would_block(reason)) return pause_.start(kPause, again);
  socket_.async_wait_writable([again](bool writable) {
    if (writable) again();
  });
}

void NotifySocket::refuse(const Error& error, const Refused& refused) {
  abandoned_ = abandoned_ || error.code == std::errc::connection_refused;
  if (!std::exchange(logged_, true)) {
    log_warning("the service manager's NOTIFY_SOCKET refuses a message: " + error.message());
  }
  if (refused) {
    refused(error);
  } else {
    lost_ = error;
  }
}

}  // namespace allot::daemon
