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
#include "shared/platform/pidfd.hpp"
#include "shared/platform/random.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

void refuse(const platform::Descriptor& socket, const Error& why) {
  (void)platform::send_message(socket, protocol::encode({0, protocol::make_failure(why)}));
  discard_queue(socket);
}

StoredSession stored_session(const core::SessionKey& session) {
  return {session.region->tag(), session.id, session.incarnation};
}

}  // namespace

Server::Server(boost::asio::io_context& context, Timers& timers, const ServerLimits& limits,
               const ForcedFallbacks& forced, ServiceManager& manager)
    : context_(context),
      timers_(timers),
      limits_(limits),
      forced_(forced),
      manager_(manager),
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
            for (const core::Send& one : sends) deliver(one);
          },
      .ended = [this](const core::SessionKey& session) { session_ended(session); },
      .punch =
          [this](core::RegionCore& region, const core::FileRange& range) {
            if (auto punched = host(region).punch(range); !punched) {
              log_error("region " + region.name() + ": " + punched.error().message());
              region.punch_failed(range, now().monotonic_ns);
            }
          },
  };
}

Expected<void> Server::serve(platform::Descriptor listening) {
  // Connections inherit this (6.16), so that nothing can come in before they are accepted.
  if (auto kept = keep_descriptors_out(listening, forced_); !kept) {
    log_warning("client socket: " + kept.error().message());
  }
  listener_ = std::make_unique<Listener>(
      context_, timers_, std::move(listening),
      [this](platform::Descriptor socket) { accept(std::move(socket)); });
  if (!*listener_) return Error(Errc::kSystem, "the event loop refuses the client socket");
  listener_->start();
  return {};
}

void Server::stop() {
  if (listener_ != nullptr) listener_->stop();
  for (const auto& [id, connection] : connections_) connection->close();
  connections_.clear();
}

core::Instant Server::now() {
  const std::uint64_t available = probe_.available_bytes();
  core::Instant now{unix_now_ns(), monotonic_now_ns(),
                    available - std::min(available, commits_.pending_bytes())};
  if (manager_.has_store()) {
    now.storable_sessions = storable_sessions(manager_.store_capacity(), hosts_.size(), unused_);
  }
  return now;
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
  for (const core::Send& one : outcome.sends) deliver(one);
  if (outcome.resume) resume(*outcome.resume);
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

void Server::deliver(const core::Send& one) {
  const auto found = connections_.find(one.to);
  if (found == connections_.end()) return;
  // Before a session only a Watch is answered by Done.
  const protocol::Body& body = one.message.body;
  if (one.welcome || std::holds_alternative<protocol::Resumed>(body) ||
      std::holds_alternative<protocol::Done>(body)) {
    found->second->settle();
  }
  if (one.welcome) {
    const std::shared_ptr<ClientConnection> connection = found->second;
    return welcome(*connection, one);
  }
  send(one.to, one.message);
}

void Server::send(core::ConnectionId to, const protocol::Message& message,
                  std::span<const int> descriptors) {
  const auto found = connections_.find(to);
  if (found == connections_.end()) return;
  const std::shared_ptr<ClientConnection> connection = found->second;
  const auto sent = connection->send(message, descriptors);
  if (sent) return;
  std::optional<Error> bad;
  if (platform::would_block(sent.error())) {
    bad = Error(std::make_error_code(std::errc::no_buffer_space), "it does not read its messages");
  } else if (platform::is_shortage(sent.error().code)) {
    log_error("cannot send to a client: " + sent.error().message());
    return break_connection(to);
  }
  end_connection(to, bad);
}

void Server::welcome(ClientConnection& connection, const core::Send& one) {
  const core::SessionKey session = *one.welcome;
  const auto refuse = [&](const char* what, const Error& error) {
    log_error(std::string(what) + " for a new session: " + error.message());
    send(one.to, {one.message.request, protocol::make_failure(error)});
    end_connection(one.to, std::nullopt);
    core::Service::image_gone(session);  // nobody can ever map what was not sent
  };
  auto presence = platform::make_presence_file("allot:presence");
  if (!presence) return refuse("no presence file", presence.error());
  const WatchKey key{session.region, session.incarnation};
  const auto watching =
      watch(session, one.to, std::move(*presence), connection.take_pidfd(), connection.peer());
  if (!watching) return refuse("no watch", watching.error());
  log_debug("session " + std::to_string(session.id) + " in region " + session.region->name() +
            ": pid " + std::to_string(connection.peer().pid) + " of uid " +
            std::to_string(connection.peer().uid));
  if (!manager_.has_store()) return send_welcome(key, one);
  const SessionWatch& watched = *watches_.at(key).watch;
  const std::string name = session_name(stored_session(session));
  manager_.store(name, watched.presence().get());
  manager_.store(name, watched.pidfd().get());
  manager_.barrier([this, key, one](const Expected<void>& reached) {
    if (reached) return send_welcome(key, one);
    log_error("the service manager does not keep a new session's descriptors: " +
              reached.error().message());
    send(one.to, {one.message.request, protocol::make_failure(Error(
                                           Errc::kTooManySessions,
                                           "the service manager does not keep its descriptors"))});
    image_gone(key);  // nobody can ever map what was not sent
  });
}

void Server::send_welcome(WatchKey key, const core::Send& one) {
  const auto watched = watches_.find(key);
  if (watched == watches_.end()) return;
  one.welcome->region->note_welcomed(one.welcome->id);
  const auto region = host(*one.welcome->region).descriptors();
  const std::array<int, 4> descriptors = {region[0], region[1], region[2],
                                          watched->second.watch->presence().get()};
  send(one.to, one.message, descriptors);
}

Expected<void> Server::watch(const core::SessionKey& session, core::ConnectionId connection,
                             platform::Descriptor presence, platform::Descriptor pidfd,
                             const core::Peer& peer) {
  const WatchKey key{session.region, session.incarnation};
  const bool has_pidfd = static_cast<bool>(pidfd);
  auto watch = std::make_unique<SessionWatch>(
      context_, timers_, std::move(presence), std::move(pidfd),
      SessionWatch::Callbacks{.gone = [this, key] { image_gone(key); },
                              .tampered =
                                  [this, peer] {
                                    note_bad_peer(peer, BadPeers::Fate::kStays,
                                                  "it sealed its presence file");
                                  }});
  if (has_pidfd && !watch->sees_exit()) {
    return Error(Errc::kSystem, "the event loop refuses the pidfd of a session");
  }
  watches_[key] = Watched{session, connection, std::move(watch)};
  return {};
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

// It is our fault: the client connects again, and finds what was done of its requests.
void Server::break_connection(core::ConnectionId id) {
  if (const auto session = service_.session_of(id)) session->region->let_resume(session->id);
  end_connection(id, std::nullopt);
}

// The process may have left its connection to a child that has no session: end that too.
void Server::image_gone(WatchKey key) {
  const auto node = watches_.extract(key);
  if (node.empty()) return;
  end_connection(node.mapped().connection, std::nullopt);
  core::Service::image_gone(node.mapped().session);
  upkeep_.wake();
}

void Server::session_ended(const core::SessionKey& session) {
  manager_.remove(session_name(stored_session(session)));
}

void Server::note_bad_peer(const core::Peer& peer, BadPeers::Fate fate, std::string_view why) {
  const auto line =
      bad_peers_.note(peer.pid, peer.uid, fate, one_line(why), BadPeers::Clock::now());
  if (line) log_warning(*line);
}

}  // namespace allot::daemon
