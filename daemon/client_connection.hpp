// ClientConnection: one client's socket, read and written a whole message at a time.
//
// Used by the server. It reads one message a turn of the loop, so that others are served between;
// it never blocks on a write: a peer whose queue is full is too slow and is dropped. Descriptors
// from a peer are refused. A new connection has a deadline to say what it wants.
//
// Invariants
// 1. The owner hears of the end exactly once: lost(), unless it called close() itself.
// 2. Nothing is read while the owner's may_read() says no; resume() asks again.
// 3. Before the peer's identity is confirmed no Hello reaches the owner.
//
// The owner outlives the connection. One thread.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include <boost/asio/io_context.hpp>

#include <allot/expected.hpp>

#include "daemon/async_descriptor.hpp"
#include "daemon/core/service.hpp"
#include "daemon/peer_identity.hpp"
#include "daemon/timers.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/protocol/message.hpp"

namespace allot::daemon {

/// Reads nothing more from the peer and forgets what it has sent. Without this before close(), the
/// peer gets ECONNRESET before the last messages to it.
void discard_queue(const platform::Descriptor& socket);

class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  class Owner {
   public:
    Owner() = default;
    Owner(const Owner&) = delete;
    Owner& operator=(const Owner&) = delete;
    virtual ~Owner() = default;
    virtual void received(ClientConnection& connection, std::span<const std::byte> bytes) = 0;
    /// The connection ends now. `bad`: why, if the peer broke the rules. It is closed afterwards.
    virtual void lost(ClientConnection& connection, const std::optional<Error>& bad) = 0;
    [[nodiscard]] virtual bool may_read(const ClientConnection& connection) const = 0;
  };

  ClientConnection(boost::asio::io_context& context, Timers& timers, platform::Descriptor socket,
                   PeerIdentity identity, core::ConnectionId id, Owner& owner);

  /// Begins to read; `deadline` for settle() to be called.
  void start(std::chrono::milliseconds deadline);

  /// The peer has said what it wants: it may be silent from now on.
  void settle() { deadline_.cancel(); }

  /// True once the peer sends nothing more. The only way to know while nothing is read.
  [[nodiscard]] bool has_hung_up() const {
    return !socket_ || platform::has_hung_up(socket_.get());
  }

  /// Reads on, if may_read() now says yes.
  void resume();

  /// False if the peer's queue is full or the peer is gone: close it.
  [[nodiscard]] Expected<void> send(const protocol::Message& message,
                                    std::span<const int> descriptors = {});

  /// Closes the socket so that the peer can still read what was sent.
  void close();

  [[nodiscard]] core::ConnectionId id() const noexcept { return id_; }
  [[nodiscard]] const core::Peer& peer() const noexcept { return identity_.peer; }
  /// For the session's watch; the connection itself needs it no more.
  [[nodiscard]] platform::Descriptor take_pidfd() noexcept { return std::move(identity_.pidfd); }

 private:
  void wait();
  void read_one();
  void confirm(std::span<const std::byte> bytes,
               const std::optional<platform::PeerCredentials>& sender);
  void lose(const std::optional<Error>& bad);

  AsyncDescriptor socket_;
  PeerIdentity identity_;
  PeerChallenge challenge_;
  core::ConnectionId id_;
  Owner& owner_;
  Timer deadline_;
  Timer pause_;  // before it reads on, without memory
  bool waiting_ = false;
};

}  // namespace allot::daemon
