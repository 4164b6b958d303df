// Service: the daemon's answers to messages, over any number of regions and connections.
//
// Used by the daemon's socket adapters and by embedded mode. Pure like RegionCore: it takes bytes
// and events, and gives back an Outcome that says what to send, what to commit first and whom to
// drop. A peer that sends what decode() refuses loses its session; a request that cannot be served
// gets a Failure and costs nobody else anything.
//
// Not thread-safe: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "daemon/core/region_core.hpp"
#include "shared/protocol/message.hpp"

namespace allot::core {

/// Who may open sessions in a region. Empty sets: everybody who can reach the socket.
struct AccessPolicy {
  std::set<uid_t> uids;
  std::set<gid_t> gids;

  [[nodiscard]] bool allows(const Peer& peer) const {
    return (uids.empty() && gids.empty()) || uids.contains(peer.uid) || gids.contains(peer.gid);
  }
};

using ConnectionId = std::uint64_t;

/// What the world looks like at an event.
struct Instant {
  std::uint64_t unix_ns = 0;       // to be shown
  std::uint64_t monotonic_ns = 0;  // for delays and rates: nobody sets this clock
  std::uint64_t available_bytes = ~std::uint64_t{0};  // memory the machine could still give
  // Sessions, of all regions, whose descriptors the service manager would keep.
  std::uint64_t storable_sessions = ~std::uint64_t{0};
};

/// A session as the adapters know it.
struct SessionKey {
  RegionCore* region = nullptr;
  std::uint32_t id = 0;
  std::uint64_t incarnation = 0;
};

struct Send {
  ConnectionId to = 0;
  protocol::Message message;
  std::optional<SessionKey> welcome;  // attach this region's and a new presence file's descriptors
};

/// Memory to commit before an answer can be given.
struct PendingCommit {
  ConnectionId connection = 0;
  std::uint64_t request = 0;
  RegionCore* region = nullptr;
  std::vector<FileRange> ranges;
  std::uint64_t high_water_granules = 0;  // the daemon's own mapping must open this far
  std::uint32_t heap_count = 0;           // and to this many heaps
  std::optional<GrantPlan> grant;         // else: a heap's ledger
  std::uint32_t heap = 0;
};

/// Somebody says that a session is his. Whether it is only the kernel knows: finish_resume().
struct PendingResume {
  ConnectionId connection = 0;
  std::uint64_t request = 0;
  SessionKey session;
};

struct Outcome {
  std::vector<Send> sends;
  std::optional<PendingResume> resume;
  std::optional<PendingCommit> commit;
  std::optional<Error> drop;  // close this connection; why, for the log
};

class Service {
 public:
  /// Serves `region` to clients that ask for its name() and whom `policy` allows.
  void add_region(std::unique_ptr<RegionCore> region, AccessPolicy policy);
  [[nodiscard]] const std::vector<std::unique_ptr<RegionCore>>& regions() const noexcept {
    return regions_;
  }
  [[nodiscard]] RegionCore* find_region(std::string_view name) const noexcept;

  /// A connection by `peer`, whose identity the adapter has established.
  [[nodiscard]] ConnectionId open_connection(const Peer& peer);
  /// Forgets the connection; its session, if any, is detached until image_gone().
  void close_connection(ConnectionId connection);
  [[nodiscard]] std::optional<SessionKey> session_of(ConnectionId connection) const;

  /// Answers one message, which may be any bytes.
  [[nodiscard]] Outcome handle(ConnectionId id, std::span<const std::byte> bytes,
                               const Instant& now);
  /// Continues after Outcome::commit: `committed` says how that went.
  [[nodiscard]] Outcome finish_commit(const PendingCommit& pending, const Expected<void>& committed,
                                      const Instant& now);

  /// Continues after Outcome::resume: `is_same` if the connection's process is the one that had the
  /// session.
  [[nodiscard]] Outcome finish_resume(const PendingResume& pending, bool is_same);

  /// The kernel has shown that no image maps the session's presence file.
  static void image_gone(const SessionKey& session);
  [[nodiscard]] bool recovery_pending() const noexcept;
  /// One slice of recovery in every region; the sends tell watchers whose session has ended, and
  /// `ended` (if not null) receives them all.
  [[nodiscard]] std::vector<Send> recover_step(std::uint64_t budget_words, const Instant& now,
                                               std::vector<SessionKey>* ended = nullptr);

 private:
  struct Connection {
    Peer peer;
    RegionCore* region = nullptr;
    std::uint32_t session = 0;
    double tokens = 0;
    std::uint64_t refilled_ns = 0;  // by the monotonic clock; 0: never
  };

  [[nodiscard]] bool take_token(Connection& connection, const Instant& now) const;
  [[nodiscard]] Expected<protocol::Body> answer(ConnectionId id, Connection& connection,
                                                const protocol::Message& message,
                                                const Instant& now, Outcome& outcome);
  [[nodiscard]] Expected<protocol::Body> hello(ConnectionId id, Connection& connection,
                                               const protocol::Message& message, const Instant& now,
                                               Outcome& outcome);
  [[nodiscard]] Expected<PendingResume> resume(ConnectionId id, const Connection& connection,
                                               const protocol::Message& message) const;
  /// The region of a greeting, if `peer` may use it and is of this layout.
  [[nodiscard]] Expected<RegionCore*> greeted_region(const Connection& connection,
                                                     std::uint64_t fingerprint,
                                                     std::string_view name) const;
  [[nodiscard]] Expected<protocol::Body> watch(ConnectionId id, const Connection& connection,
                                               const protocol::Watch& request);

  using WatchKey = std::tuple<RegionCore*, std::uint64_t, std::uint64_t>;

  std::vector<std::unique_ptr<RegionCore>> regions_;
  std::map<const RegionCore*, AccessPolicy> policies_;
  std::map<ConnectionId, Connection> connections_;
  std::map<WatchKey, std::set<ConnectionId>> watchers_;
  ConnectionId next_connection_ = 1;
};

}  // namespace allot::core
