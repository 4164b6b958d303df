#include "daemon/core/service.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace allot::core {

namespace {

namespace p = protocol;

Expected<p::Body> done(const Expected<void>& result) {
  if (!result) return result.error();
  return p::Body(p::Done{});
}

// Nothing if `body` is no request about published blocks.
std::optional<Expected<p::Body>> answer_of_names(RegionCore& region, std::uint32_t session,
                                                 const p::Body& body, const Instant& now) {
  if (const auto* request = std::get_if<p::Publish>(&body)) {
    return done(region.publish(session, p::text(request->name), Handle::from_bits(request->handle),
                               now.unix_ns));
  }
  if (const auto* request = std::get_if<p::Unpublish>(&body)) {
    return done(region.unpublish(session, p::text(request->name),
                                 Handle::from_bits(request->handle), false, now.monotonic_ns));
  }
  if (const auto* request = std::get_if<p::Find>(&body)) {
    auto found = region.find(session, p::text(request->name));
    if (!found) return found.error();
    return p::Body(*found);
  }
  if (const auto* request = std::get_if<p::NextPin>(&body)) {
    auto next = region.next_pin(session, request->above);
    if (!next) return next.error();
    return p::Body(*next);
  }
  if (const auto* request = std::get_if<p::Unpin>(&body)) {
    return done(region.unpin(session, Handle::from_bits(request->handle), now.monotonic_ns));
  }
  if (const auto* request = std::get_if<p::ClearChunks>(&body)) {
    return done(region.clear_chunks(session, Handle::from_bits(request->handle)));
  }
  return std::nullopt;
}

}  // namespace

void Service::add_region(std::unique_ptr<RegionCore> region, AccessPolicy policy) {
  policies_[region.get()] = std::move(policy);
  regions_.push_back(std::move(region));
}

RegionCore* Service::find_region(std::string_view name) const noexcept {
  for (const auto& region : regions_) {
    if (region->name() == name) return region.get();
  }
  return nullptr;
}

ConnectionId Service::open_connection(const Peer& peer) {
  const ConnectionId id = next_connection_++;
  connections_[id].peer = peer;
  return id;
}

void Service::close_connection(ConnectionId connection) {
  const auto found = connections_.find(connection);
  if (found == connections_.end()) return;
  if (found->second.region != nullptr) found->second.region->detach(found->second.session);
  connections_.erase(found);
  for (auto it = watchers_.begin(); it != watchers_.end();) {
    it->second.erase(connection);
    it = it->second.empty() ? watchers_.erase(it) : std::next(it);
  }
}

std::optional<SessionKey> Service::session_of(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  if (found == connections_.end() || found->second.region == nullptr) return std::nullopt;
  const auto* const record = found->second.region->session(found->second.session);
  if (record == nullptr) return std::nullopt;
  return SessionKey{found->second.region, found->second.session, record->incarnation};
}

// A token bucket by the limits of the connection's region, or of the first one before Hello.
bool Service::take_token(Connection& connection, const Instant& now) const {
  const Limits& limits =
      connection.region != nullptr ? connection.region->limits() : regions_.front()->limits();
  const double burst = limits.message_burst;
  if (connection.refilled_ns == 0) connection.tokens = burst;
  if (connection.refilled_ns != 0 && now.monotonic_ns > connection.refilled_ns) {
    const double seconds = static_cast<double>(now.monotonic_ns - connection.refilled_ns) * 1e-9;
    connection.tokens = std::min(burst, connection.tokens + seconds * limits.messages_per_second);
  }
  connection.refilled_ns = now.monotonic_ns;
  if (connection.tokens < 1) return false;
  connection.tokens -= 1;
  return true;
}

Outcome Service::handle(ConnectionId id, std::span<const std::byte> bytes, const Instant& now) {
  Outcome outcome;
  const auto found = connections_.find(id);
  if (found == connections_.end()) return outcome;
  auto message = protocol::decode(bytes);
  if (!message) {
    outcome.sends.push_back({id, {0, protocol::make_failure(message.error())}, {}});
    outcome.drop = message.error();
    return outcome;
  }
  Expected<protocol::Body> body = take_token(found->second, now)
                                      ? answer(id, found->second, *message, now, outcome)
                                      : Error(Errc::kRateLimit, "see messages_per_second");
  if (outcome.commit || outcome.resume) return outcome;
  const bool one_way = std::holds_alternative<protocol::FreedElsewhere>(message->body);
  if (!body) {
    if (body.error() == Errc::kBadMessage) outcome.drop = body.error();
    body = protocol::make_failure(body.error());
  }
  if (!one_way && outcome.sends.empty())
    outcome.sends.push_back({id, {message->request, *body}, {}});
  return outcome;
}

Expected<protocol::Body> Service::answer(ConnectionId id, Connection& connection,
                                         const protocol::Message& message, const Instant& now,
                                         Outcome& outcome) {
  if (std::holds_alternative<p::Hello>(message.body)) {
    return hello(id, connection, message, now, outcome);
  }
  if (std::holds_alternative<p::Resume>(message.body)) {
    auto pending = resume(id, connection, message);
    if (!pending) return pending.error();
    outcome.resume = *pending;
    return p::Body(p::Done{});
  }
  if (const auto* request = std::get_if<p::Watch>(&message.body)) {
    return watch(id, connection, *request);
  }
  RegionCore* const region = connection.region;
  const std::uint32_t session = connection.session;
  if (region == nullptr) return Error(Errc::kUnknownSession, "say Hello first");
  region->note_heard(session);

  if (const auto* request = std::get_if<p::GrantRequest>(&message.body)) {
    auto plan = region->plan_grant(session, *request, now.available_bytes);
    if (!plan) return plan.error();
    outcome.commit = PendingCommit{
        id, message.request, region, plan->ranges, plan->high_water_granules, 0, *plan, 0};
    return p::Body(p::Done{});
  }
  if (std::holds_alternative<p::AttachHeap>(message.body)) {
    auto heap = region->attach_heap(session);
    if (!heap) return heap.error();
    outcome.commit = PendingCommit{id,
                                   message.request,
                                   region,
                                   {RegionCore::heap_range(*heap)},
                                   region->high_water_granules(),
                                   *heap + 1,
                                   std::nullopt,
                                   *heap};
    return p::Body(p::Done{});
  }
  if (const auto* request = std::get_if<p::ReturnSpan>(&message.body)) {
    return done(region->return_spans(session, *request, now.monotonic_ns));
  }
  if (const auto* request = std::get_if<p::AdoptOrphan>(&message.body)) {
    auto adopted = region->adopt_orphan(session, request->bin);
    if (!adopted) return adopted.error();
    return *adopted ? p::Body(**adopted) : p::Body(p::Done{});
  }
  if (const auto* request = std::get_if<p::Reserve>(&message.body)) {
    auto reserved = region->reserve(session, *request);
    if (!reserved) return reserved.error();
    return p::Body(*reserved);
  }
  if (const auto* request = std::get_if<p::Unreserve>(&message.body)) {
    return done(region->unreserve(session, request->first));
  }
  if (const auto* request = std::get_if<p::NextReservation>(&message.body)) {
    auto next = region->next_reservation(session, request->from);
    if (!next) return next.error();
    return p::Body(*next);
  }
  if (const auto* request = std::get_if<p::FreedElsewhere>(&message.body)) {
    region->note_freed(request->first, now.monotonic_ns);
    return p::Body(p::Done{});
  }
  if (auto answered = answer_of_names(*region, session, message.body, now)) return *answered;
  if (std::holds_alternative<p::Bye>(message.body)) {
    region->note_goodbye(session);
    return p::Body(p::Done{});
  }
  return Error(Errc::kBadMessage, "a client does not send this kind");
}

Expected<protocol::Body> Service::hello(ConnectionId id, Connection& connection,
                                        const protocol::Message& message, const Instant& now,
                                        Outcome& outcome) {
  const auto& request = std::get<protocol::Hello>(message.body);
  auto greeted = greeted_region(connection, request.fingerprint, protocol::text(request.region));
  if (!greeted) return greeted.error();
  RegionCore* const region = *greeted;
  std::uint64_t sessions = 0;
  for (const auto& one : regions_) sessions += one->session_count();
  if (sessions >= now.storable_sessions) {
    return Error(Errc::kTooManySessions, "the service manager keeps the descriptors of " +
                                             std::to_string(now.storable_sessions) +
                                             ", see FileDescriptorStoreMax");
  }
  auto ticket = region->open_session(connection.peer, protocol::text(request.label), now.unix_ns);
  if (!ticket) return ticket.error();
  connection.region = region;
  connection.session = ticket->id;
  const protocol::Welcome welcome{ticket->id, region->tag(), ticket->incarnation,
                                  region->view().granules(), region->limits().session_quota_bytes};
  outcome.sends.push_back(
      {id, {message.request, welcome}, SessionKey{region, ticket->id, ticket->incarnation}});
  return protocol::Body(welcome);
}

Expected<RegionCore*> Service::greeted_region(const Connection& connection,
                                              std::uint64_t fingerprint,
                                              std::string_view name) const {
  if (connection.region != nullptr) {
    return Error(Errc::kSecondHello, "session " + std::to_string(connection.session));
  }
  if (fingerprint != region::fingerprint()) {
    return Error(Errc::kLayoutMismatch, "rebuild the program with this version of liballot");
  }
  RegionCore* const region = find_region(name);
  if (region == nullptr) return Error(Errc::kUnknownRegion, "'" + std::string(name) + "'");
  if (!policies_.at(region).allows(connection.peer)) {
    return Error(Errc::kNotAllowed, "uid " + std::to_string(connection.peer.uid) + " in region '" +
                                        std::string(name) + "'");
  }
  return region;
}

Expected<PendingResume> Service::resume(ConnectionId id, const Connection& connection,
                                        const protocol::Message& message) const {
  const auto& request = std::get<protocol::Resume>(message.body);
  auto region = greeted_region(connection, request.fingerprint, protocol::text(request.region));
  if (!region) return region.error();
  const auto* const record = request.session < region::kSessionLimit
                                 ? (*region)->session(static_cast<std::uint32_t>(request.session))
                                 : nullptr;
  if ((*region)->view().header().created_unix_ns != request.region_created_unix_ns ||
      record == nullptr || record->incarnation != request.incarnation ||
      !record->waits_for_resume || record->peer.uid != connection.peer.uid) {
    return Error(Errc::kUnknownSession, "no session " + std::to_string(request.session) + "." +
                                            std::to_string(request.incarnation) +
                                            " of yours waits for its process");
  }
  return PendingResume{
      id, message.request,
      SessionKey{*region, static_cast<std::uint32_t>(request.session), request.incarnation}};
}

Outcome Service::finish_resume(const PendingResume& pending, bool is_same) {
  Outcome outcome;
  const auto found = connections_.find(pending.connection);
  if (found == connections_.end()) return outcome;
  RegionCore& region = *pending.session.region;
  protocol::Body body = protocol::make_failure(Error(
      Errc::kUnknownSession, "another process had session " + std::to_string(pending.session.id)));
  if (is_same) {
    const auto resumed =
        region.resume(pending.session.id, pending.session.incarnation, found->second.peer);
    if (resumed) {
      found->second.region = &region;
      found->second.session = pending.session.id;
      body = protocol::Resumed{region.view().header().boot_epoch.load_relaxed()};
    } else {
      body = protocol::make_failure(resumed.error());
    }
  }
  outcome.sends.push_back({pending.connection, {pending.request, body}, {}});
  return outcome;
}

Expected<protocol::Body> Service::watch(ConnectionId id, const Connection& connection,
                                        const protocol::Watch& request) {
  RegionCore* const region = find_region(protocol::text(request.region));
  if (region == nullptr) return Error(Errc::kUnknownRegion);
  if (!policies_.at(region).allows(connection.peer)) return Error(Errc::kNotAllowed);
  const auto* const record = request.session < region::kSessionLimit
                                 ? region->session(static_cast<std::uint32_t>(request.session))
                                 : nullptr;
  if (record == nullptr || record->incarnation != request.incarnation) {
    return Error(Errc::kUnknownSession,
                 std::to_string(request.session) + "." + std::to_string(request.incarnation));
  }
  const auto known = watchers_.find({region, request.session, request.incarnation});
  if (known != watchers_.end() && known->second.contains(id))
    return protocol::Body(protocol::Done{});
  const auto watches = std::count_if(watchers_.begin(), watchers_.end(),
                                     [id](const auto& entry) { return entry.second.contains(id); });
  if (static_cast<std::size_t>(watches) >= kMaxWatchesPerConnection) {
    return Error(Errc::kTooManyWatches, std::to_string(kMaxWatchesPerConnection) + " at most");
  }
  watchers_[{region, request.session, request.incarnation}].insert(id);
  return protocol::Body(protocol::Done{});
}

Outcome Service::finish_commit(const PendingCommit& pending, const Expected<void>& committed,
                               const Instant& now) {
  Expected<protocol::Body> body = protocol::Body(protocol::HeapAttached{pending.heap});
  if (!pending.grant) pending.region->finish_heap(pending.heap, committed.has_value());
  if (pending.grant && committed) {
    auto granted = pending.region->finish_grant(*pending.grant, now.unix_ns);
    if (granted) {
      body = protocol::Body(*granted);
    } else {
      body = granted.error();
    }
  } else if (!committed) {
    if (pending.grant) pending.region->abandon_grant(*pending.grant);
    body = committed.error() == Errc::kClosed
               ? Error(Errc::kClosed, "nobody waits for the answer")
               : Error(Errc::kMachineFull, committed.error().message());
  }
  Outcome outcome;
  if (!connections_.contains(pending.connection)) return outcome;
  if (!body) body = protocol::make_failure(body.error());
  outcome.sends.push_back({pending.connection, {pending.request, *body}, {}});
  return outcome;
}

void Service::image_gone(const SessionKey& session) {
  const auto* const record = session.region->session(session.id);
  if (record != nullptr && record->incarnation == session.incarnation) {
    session.region->begin_recovery(session.id);
  }
}

bool Service::recovery_pending() const noexcept {
  return std::any_of(regions_.begin(), regions_.end(),
                     [](const auto& region) { return region->recovery_pending(); });
}

std::vector<Send> Service::recover_step(std::uint64_t budget_words, const Instant& now,
                                        std::vector<SessionKey>* ended) {
  std::vector<Send> sends;
  for (const auto& region : regions_) {
    for (const auto& one : region->recover_step(budget_words, now.monotonic_ns)) {
      if (ended != nullptr) ended->push_back({region.get(), one.session, one.incarnation});
      for (auto& [id, connection] : connections_) {
        if (connection.region == region.get() && connection.session == one.session) {
          connection.region = nullptr;  // the image is gone; nothing it still has queued counts
        }
      }
      const auto found = watchers_.find({region.get(), one.session, one.incarnation});
      if (found == watchers_.end()) continue;
      for (const ConnectionId watcher : found->second) {
        sends.push_back({watcher, {0, protocol::PeerGone{one.session, one.incarnation}}, {}});
      }
      watchers_.erase(found);
    }
  }
  return sends;
}

}  // namespace allot::core
