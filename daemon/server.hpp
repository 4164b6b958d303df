// Server: the client side of the daemon: connections, sessions, grants, deaths.
//
// Used by run_daemon(); one object, one thread, one io_context. It carries bytes between sockets
// and core::Service and does what the core's outcomes ask for: send, commit, drop, watch a
// session's presence, recover. It decides nothing about memory itself.
//
//   socket -> ClientConnection -> received() -> Service::handle -> act_on() -> send | CommitQueue
//   presence file, pidfd -> SessionWatch -> image_gone() -> Upkeep -> Service::recover_step -> send
//
// Invariants
// 1. Each session in the core has one entry in watches_, from its Welcome until its image is gone.
//    With a descriptor store its presence file and pidfd are stored before Welcome is sent, and
//    removed once the core has recovered it.
// 2. A connection that ends is forgotten by the service, its commits are finished, and its
//    session's watch is told, in this order.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>

#include <allot/expected.hpp>

#include "daemon/bad_peers.hpp"
#include "daemon/client_connection.hpp"
#include "daemon/commit_queue.hpp"
#include "daemon/config.hpp"
#include "daemon/core/service.hpp"
#include "daemon/inherited_descriptors.hpp"
#include "daemon/listener.hpp"
#include "daemon/memory_probe.hpp"
#include "daemon/region_host.hpp"
#include "daemon/service_manager.hpp"
#include "daemon/session_watch.hpp"
#include "daemon/store_names.hpp"
#include "daemon/stored_regions.hpp"
#include "daemon/timers.hpp"
#include "daemon/upkeep.hpp"

namespace allot::daemon {

class Server final : private ClientConnection::Owner {
 public:
  Server(boost::asio::io_context& context, Timers& timers, const ServerLimits& limits,
         const ForcedFallbacks& forced, ServiceManager& manager);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() override;

  /// Goes on with what an earlier daemon stored of regions of `configs`, makes the others' files, and
  /// serves them. Takes out of `inherited` what it goes on with.
  [[nodiscard]] Expected<void> add_regions(const std::vector<RegionConfig>& configs,
                                           InheritedDescriptors& inherited);

  /// Accepts clients on `listening` until stop().
  [[nodiscard]] Expected<void> serve(platform::Descriptor listening);
  void stop();

  [[nodiscard]] core::Service& service() noexcept { return service_; }
  /// Somebody has changed a region through service() and not through a client's message.
  void region_changed() { upkeep_.wake(); }
  [[nodiscard]] const RegionHost& host(const core::RegionCore& region) const {
    return *hosts_.at(&region);
  }
  [[nodiscard]] std::uint64_t connection_count() const noexcept { return connections_.size(); }
  [[nodiscard]] std::uint64_t bad_peer_count() const noexcept { return bad_peers_.count(); }

 private:
  using WatchKey = std::pair<const core::RegionCore*, std::uint64_t>;  // and the incarnation
  struct Watched {
    core::SessionKey session;
    core::ConnectionId connection = 0;
    std::unique_ptr<SessionWatch> watch;
  };

  void received(ClientConnection& connection, std::span<const std::byte> bytes) override;
  void lost(ClientConnection& connection, const std::optional<Error>& bad) override;
  [[nodiscard]] bool may_read(const ClientConnection& connection) const override;

  [[nodiscard]] Expected<void> add_region(const RegionConfig& config, std::uint32_t tag);
  [[nodiscard]] Expected<void> restore_region(const RegionConfig& config, StoredRegion stored);
  [[nodiscard]] Expected<void> restore_sessions(InheritedDescriptors& inherited);
  [[nodiscard]] Expected<void> watch(const core::SessionKey& session, core::ConnectionId connection,
                                     platform::Descriptor presence, platform::Descriptor pidfd,
                                     const core::Peer& peer);
  [[nodiscard]] Expected<bool> is_process_of(const SessionWatch& watch, const core::Peer& peer);
  void accept(platform::Descriptor socket);
  void act_on(core::ConnectionId id, core::Outcome outcome);
  void committed(const core::PendingCommit& pending, const Expected<void>& result);
  void deliver(const core::Send& one);
  void send(core::ConnectionId to, const protocol::Message& message,
            std::span<const int> descriptors = {});
  void welcome(ClientConnection& connection, const core::Send& one);
  void send_welcome(WatchKey key, const core::Send& one);
  void resume(const core::PendingResume& pending);
  void end_connection(core::ConnectionId id, const std::optional<Error>& bad);
  void break_connection(core::ConnectionId id);
  void image_gone(WatchKey key);
  void session_ended(const core::SessionKey& session);
  void note_bad_peer(const core::Peer& peer, BadPeers::Fate fate, std::string_view why);
  [[nodiscard]] core::Instant now();

  [[nodiscard]] CommitQueue::Actions commit_actions();
  [[nodiscard]] Upkeep::Actions upkeep_actions();

  boost::asio::io_context& context_;
  Timers& timers_;
  ServerLimits limits_;
  ForcedFallbacks forced_;
  ServiceManager& manager_;
  std::optional<bool> pidfds_tell_pids_;  // not known as yet
  UnusedInStore unused_;
  std::map<const core::RegionCore*, std::unique_ptr<RegionHost>> hosts_;
  core::Service service_;
  MemoryProbe probe_;
  BadPeers bad_peers_;
  CommitQueue commits_;
  Upkeep upkeep_;
  std::map<core::ConnectionId, std::shared_ptr<ClientConnection>> connections_;
  std::map<uid_t, std::uint32_t> connections_of_uid_;
  std::map<WatchKey, Watched> watches_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace allot::daemon
