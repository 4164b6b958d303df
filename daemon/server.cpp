#include "daemon/server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <system_error>
#include <variant>

#include "daemon/clock.hpp"
#include "daemon/log.hpp"
#include "shared/platform/memfd.hpp"
#include "shared/platform/random.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

constexpr std::uint32_t kRegionTags = 1023;

void refuse(const platform::Descriptor& socket, const Error& why) {
  (void)platform::send_message(socket, protocol::encode({0, protocol::make_failure(why)}));
  discard_queue(socket);
}

}  // namespace

Server::Server(boost::asio::io_context& context, Timers& timers, const ServerLimits& limits,
               const ForcedFallbacks& forced)
    : context_(context),
      timers_(timers),
      limits_(limits),
      forced_(forced),
      commits_(context, commit_actions()),
      upkeep_(context, timers, service_, upkeep_actions()) {}

Server::~Server() { stop(); }

CommitQueue::Actions Server::commit_actions() {
  return {
      .commit =
          [this](const core::RegionCore& region, const core::FileRange& range) {
            probe_.note_committed(range.length_bytes);
            return host(region).commit(range);
          },
      .open =
          [this](const core::PendingCommit& pending) {
            return hosts_.at(pending.region)->open(pending.high_water_granules, pending.heap_count);
          },
      .finished = [this](const core::PendingCommit& pending,
                         const Expected<void>& result) { committed(pending, result); },
      .is_wanted =
          [this](const core::PendingCommit& pending) {
            const auto found = connections_.find(pending.connection);
            return found != connections_.end() && !found->second->has_hung_up();
          },
  };
}

Upkeep::Actions Server::upkeep_actions() {
  return {
      .now = [this] { return now(); },
      .deliver =
          [this](const std::vector<core::Send>& sends) {
            for (const core::Send& send : sends) deliver(send);
          },
      .punch =
          [this](core::RegionCore& region, const core::FileRange& range) {
            if (auto punched = host(region).punch(range); !punched) {
              log_error("region " + region.name() + ": " + punched.error().message());
              region.punch_failed(range, now().monotonic_ns);
            }
          },
  };
}

Expected<void> Server::add_region(const RegionConfig& config) {
  auto made = RegionHost::create(config);
  if (!made) return made.error();
  std::unique_ptr<RegionHost> host = std::move(*made);
  std::uint32_t tag = 0;
  do {
    tag = 1 + static_cast<std::uint32_t>(platform::random_u64() % kRegionTags);
  } while (std::any_of(service_.regions().begin(), service_.regions().end(),
                       [tag](const auto& region) { return region->tag() == tag; }));
  auto region = host->make_core(config, tag, unix_now_ns());
  hosts_[region.get()] = std::move(host);
  service_.add_region(std::move(region), config.policy);
  return {};
}

void Server::serve(platform::Descriptor listening) {
  // Connections inherit this (6.16), so that nothing can come in before they are accepted.
  if (auto kept = keep_descriptors_out(listening, forced_); !kept) {
    log_warning("client socket: " + kept.error().message());
  }
  listener_ = std::make_unique<Listener>(
      context_, timers_, std::move(listening),
      [this](platform::Descriptor socket) { accept(std::move(socket)); });
  listener_->start();
}

void Server::stop() {
  if (listener_ != nullptr) listener_->stop();
  for (const auto& [id, connection] : connections_) connection->close();
  connections_.clear();
}

core::Instant Server::now() {
  const std::uint64_t available = probe_.available_bytes();
  return {unix_now_ns(), monotonic_now_ns(),
          available - std::min(available, commits_.pending_bytes())};
}

void Server::accept(platform::Descriptor socket) {
  if (auto kept = keep_descriptors_out(socket, forced_); !kept) {
    log_error("a client's socket: " + kept.error().message());
    return;
  }
  auto identity = identify_peer(socket, forced_);
  if (!identity) {
    log_debug("a client was refused: " + identity.error().message());
    return refuse(socket, identity.error());
  }
  const core::Peer peer = identity->peer;
  std::optional<Error> full;
  if (connections_.size() >= limits_.max_connections) {
    full = Error(Errc::kTooManySessions,
                 "max_connections = " + std::to_string(limits_.max_connections));
  } else if (connections_of_uid_[peer.uid] >= limits_.max_connections_per_uid) {
    full = Error(Errc::kTooManySessions,
                 "max_connections_per_uid = " + std::to_string(limits_.max_connections_per_uid));
  }
  if (full) {
    note_bad_peer(peer, BadPeers::Fate::kRefused, full->message());
    return refuse(socket, *full);
  }
  ++connections_of_uid_[peer.uid];
  const core::ConnectionId id = service_.open_connection(peer);
  ClientConnection::Owner& owner = *this;
  const auto connection = std::make_shared<ClientConnection>(context_, timers_, std::move(socket),
                                                             std::move(*identity), id, owner);
  connections_[id] = connection;
  connection->start(std::chrono::milliseconds(limits_.hello_deadline_ms));
}

void Server::received(ClientConnection& connection, std::span<const std::byte> bytes) {
  const core::ConnectionId id = connection.id();
  act_on(id, service_.handle(id, bytes, now()));
}

void Server::act_on(core::ConnectionId id, core::Outcome outcome) {
  for (const core::Send& send : outcome.sends) deliver(send);
  if (outcome.drop) {
    end_connection(id, outcome.drop);
  } else if (outcome.commit) {
    commits_.add(std::move(*outcome.commit));
  }
  upkeep_.wake();
}

void Server::committed(const core::PendingCommit& pending, const Expected<void>& result) {
  act_on(pending.connection, service_.finish_commit(pending, result, now()));
  const auto found = connections_.find(pending.connection);
  if (found != connections_.end()) found->second->resume();
}

// A connection may have one grant waiting whatever else waits, so that one user's large grants do
// not keep another's requests unread; more only while little waits in all.
bool Server::may_read(const ClientConnection& connection) const {
  const std::size_t pending = commits_.pending_of(connection.id());
  return pending == 0 || (pending < limits_.max_pending_grants &&
                          commits_.pending_bytes() < limits_.max_pending_bytes);
}

void Server::deliver(const core::Send& send) {
  const auto found = connections_.find(send.to);
  if (found == connections_.end()) return;
  const std::shared_ptr<ClientConnection> connection = found->second;
  // Before a session only a Watch is answered by Done.
  if (send.welcome || std::holds_alternative<protocol::Done>(send.message.body)) {
    connection->settle();
  }
  const auto sent = send.welcome ? welcome(*connection, send) : connection->send(send.message);
  if (sent) return;
  std::optional<Error> bad;
  if (platform::would_block(sent.error())) {
    bad = Error(std::make_error_code(std::errc::no_buffer_space), "it does not read its messages");
  }
  end_connection(send.to, bad);
}

Expected<void> Server::welcome(ClientConnection& connection, const core::Send& send) {
  const core::SessionKey session = *send.welcome;
  auto presence = platform::make_presence_file("allot:presence");
  if (!presence) {
    log_error("no presence file for a new session: " + presence.error().message());
    end_connection(send.to, std::nullopt);
    core::Service::image_gone(session);  // nobody can ever map what was not made
    return presence.error();
  }
  const WatchKey key{session.region, session.incarnation};
  auto watch = std::make_unique<SessionWatch>(
      context_, timers_, std::move(*presence), connection.take_pidfd(),
      SessionWatch::Callbacks{.gone = [this, key] { image_gone(key); },
                              .tampered =
                                  [this, peer = connection.peer()] {
                                    note_bad_peer(peer, BadPeers::Fate::kStays,
                                                  "it sealed its presence file");
                                  }});
  const auto region = host(*session.region).descriptors();
  const std::array<int, 4> descriptors = {region[0], region[1], region[2], watch->presence().get()};
  watches_[key] = Watched{session, send.to, std::move(watch)};
  log_debug("session " + std::to_string(session.id) + " in region " + session.region->name() +
            ": pid " + std::to_string(connection.peer().pid) + " of uid " +
            std::to_string(connection.peer().uid));
  return connection.send(send.message, descriptors);
}

void Server::lost(ClientConnection& connection, const std::optional<Error>& bad) {
  end_connection(connection.id(), bad);
}

void Server::end_connection(core::ConnectionId id, const std::optional<Error>& bad) {
  const auto node = connections_.extract(id);
  if (node.empty()) return;
  ClientConnection& connection = *node.mapped();
  if (bad) note_bad_peer(connection.peer(), BadPeers::Fate::kDropped, bad->message());
  connection.close();
  const auto of_uid = connections_of_uid_.find(connection.peer().uid);
  if (--of_uid->second == 0) connections_of_uid_.erase(of_uid);

  const auto session = service_.session_of(id);
  service_.close_connection(id);
  commits_.abandon(id);
  if (session) {
    const auto watched = watches_.find({session->region, session->incarnation});
    if (watched != watches_.end()) watched->second.watch->connection_ended();
  }
  upkeep_.wake();
}

// The process may have left its connection to a child that has no session: end that too.
void Server::image_gone(WatchKey key) {
  const auto node = watches_.extract(key);
  if (node.empty()) return;
  end_connection(node.mapped().connection, std::nullopt);
  core::Service::image_gone(node.mapped().session);
  upkeep_.wake();
}

void Server::note_bad_peer(const core::Peer& peer, BadPeers::Fate fate, std::string_view why) {
  const auto line =
      bad_peers_.note(peer.pid, peer.uid, fate, one_line(why), BadPeers::Clock::now());
  if (line) log_warning(*line);
}

}  // namespace allot::daemon
