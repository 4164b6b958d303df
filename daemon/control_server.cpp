#include "daemon/control_server.hpp"

#include <unistd.h>

#include <utility>

#include "daemon/control_connection.hpp"
#include "daemon/log.hpp"
#include "shared/platform/seqpacket.hpp"

namespace allot::daemon {

ControlServer::ControlServer(boost::asio::io_context& context, Timers& timers,
                             const ServerLimits& limits, ControlContext control)
    : context_(context), timers_(timers), limits_(limits), control_(std::move(control)) {}

ControlServer::~ControlServer() { stop(); }

Expected<void> ControlServer::serve(platform::Descriptor listening) {
  listener_ = std::make_unique<Listener>(
      context_, timers_, std::move(listening),
      [this](platform::Descriptor socket) { accept(std::move(socket)); });
  if (!*listener_) return Error(Errc::kSystem, "the event loop refuses the control socket");
  listener_->start();
  return {};
}

void ControlServer::stop() {
  if (listener_ != nullptr) listener_->stop();
  for (const auto& [id, connection] : connections_) connection->close();
  connections_.clear();
}

void ControlServer::accept(platform::Descriptor socket) {
  const auto peer = platform::peer_credentials(socket);
  if (!peer) {
    log_error("control socket: " + peer.error().message());
    return;
  }
  const bool administrator = peer->uid == 0 || peer->uid == ::geteuid();
  // Others leave half of them to administrators.
  const std::size_t most = limits_.max_control_connections;
  if (connections_.size() >= (administrator ? most : (most + 1) / 2)) {
    log_debug("control socket: max_control_connections is reached");
    return;
  }
  const std::uint64_t id = next_id_++;
  ControlConnection::Options options{
      .peer = *peer,
      .administrator = administrator,
      .limits = limits_,
      .control = control_,
      .closed = [this, id] { connections_.erase(id); },
  };
  const auto connection =
      std::make_shared<ControlConnection>(context_, timers_, std::move(socket), std::move(options));
  connections_[id] = connection;
  connection->start();
}

}  // namespace allot::daemon
