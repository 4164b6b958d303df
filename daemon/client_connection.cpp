#include "daemon/client_connection.hpp"

#include <sys/socket.h>

#include <array>
#include <string>
#include <utility>
#include <variant>

#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

// More messages than fit the queue of a socket: what a peer can have sent before we closed.
constexpr int kMostQueued = 4096;

constexpr std::chrono::milliseconds kPause{10};

}  // namespace

void discard_queue(const platform::Descriptor& socket) {
  ::shutdown(socket.get(), SHUT_RD);
  std::array<std::byte, 1> bytes{};
  for (int i = 0; i < kMostQueued; ++i) {
    const auto received = platform::receive_message(socket, bytes, platform::Descriptors::kRefuse);
    if (!received || received->size_bytes == 0) return;
  }
}

ClientConnection::ClientConnection(boost::asio::io_context& context, Timers& timers,
                                   platform::Descriptor socket, PeerIdentity identity,
                                   core::ConnectionId id, Owner& owner)
    : socket_(context, std::move(socket)),
      identity_(std::move(identity)),
      id_(id),
      owner_(owner),
      deadline_(timers),
      pause_(timers) {}

void ClientConnection::start(std::chrono::milliseconds deadline) {
  if (!socket_) {  // the event loop refuses it
    const auto self = shared_from_this();
    return owner_.lost(*this, std::nullopt);
  }
  deadline_.start(deadline, [this] {
    const auto self = shared_from_this();
    (void)send(
        {0, protocol::make_failure(Error(Errc::kDeadline, "no Hello, see hello_deadline_ms"))});
    lose(std::nullopt);
  });
  wait();
}

void ClientConnection::resume() {
  if (socket_ && !waiting_ && owner_.may_read(*this)) wait();
}

void ClientConnection::wait() {
  waiting_ = true;
  socket_.async_wait_readable([self = shared_from_this()](bool ready) {
    self->waiting_ = false;
    if (ready) self->read_one();
  });
}

void ClientConnection::read_one() {
  std::array<std::byte, protocol::kMessageBytes> buffer;
  auto received = platform::receive_message(socket_.get(), buffer, platform::Descriptors::kRefuse);
  if (!received) {
    if (platform::would_block(received.error())) return resume();
    if (platform::is_shortage(received.error().code)) {  // the message is still there
      return pause_.start(kPause, [this] { resume(); });
    }
    return lose(std::nullopt);
  }
  if (received->truncated || received->descriptor_count > 0) {
    const Error bad(Errc::kBadMessage, "longer than " + std::to_string(protocol::kMessageBytes) +
                                           " bytes, or with descriptors");
    (void)send({0, protocol::make_failure(bad)});
    return lose(bad);
  }
  if (received->size_bytes == 0) return lose(std::nullopt);  // closed, or an empty message
  const auto bytes = std::span<const std::byte>(buffer).first(received->size_bytes);
  if (identity_.confirmed) {
    owner_.received(*this, bytes);
  } else {
    confirm(bytes, received->sender);
  }
  resume();
}

void ClientConnection::confirm(std::span<const std::byte> bytes,
                               const std::optional<platform::PeerCredentials>& sender) {
  const auto message = protocol::decode(bytes);
  if (message && (std::holds_alternative<protocol::Hello>(message->body) ||
                  std::holds_alternative<protocol::Resume>(message->body))) {
    if (!send(challenge_.begin(*message))) lose(std::nullopt);
    return;
  }
  if (message && std::holds_alternative<protocol::ChallengeAnswer>(message->body)) {
    const auto greeting = challenge_.check(*message, sender, identity_);
    if (!greeting) {
      (void)send({message->request, protocol::make_failure(greeting.error())});
      return lose(greeting.error());
    }
    identity_.confirmed = true;
    return owner_.received(*this, protocol::encode(*greeting));
  }
  owner_.received(*this, bytes);
}

Expected<void> ClientConnection::send(const protocol::Message& message,
                                      std::span<const int> descriptors) {
  if (!socket_) return Error(Errc::kClosed);
  return platform::send_message(socket_.get(), protocol::encode(message), descriptors);
}

void ClientConnection::close() {
  deadline_.cancel();
  pause_.cancel();
  if (!socket_) return;
  discard_queue(socket_.get());
  socket_.close();
}

void ClientConnection::lose(const std::optional<Error>& bad) {
  if (!socket_) return;
  const auto self = shared_from_this();
  owner_.lost(*this, bad);
  close();
}

}  // namespace allot::daemon
