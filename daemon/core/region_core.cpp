#include "daemon/core/region_core.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <utility>

namespace allot::core {

namespace {

Limits with_parts(Limits limits, std::uint64_t region_bytes) {
  const auto part = [region_bytes](std::uint64_t& limit, std::uint64_t divisor) {
    if (limit == kPartOfRegion) limit = region_bytes / divisor;
  };
  part(limits.session_reserve_bytes, 8);
  part(limits.uid_reserve_bytes, 4);
  part(limits.reserve_limit_bytes, 2);
  return limits;
}

}  // namespace

using region::FileLayout;
using region::SessionState;

RegionCore::RegionCore(RegionView view, VaultView vault, const Limits& limits)
    : view_(view),
      // NOLINTBEGIN(cppcoreguidelines-no-malloc): zeroed without being touched
      own_vault_(
          vault ? nullptr
                : static_cast<std::byte*>(std::calloc(1, VaultView::size_bytes(view.granules()))),
          &std::free),
      // NOLINTEND(cppcoreguidelines-no-malloc)
      vault_(vault ? vault : VaultView(own_vault_.get(), view.granules())),
      limits_(with_parts(limits, view.granules() * region::kGranuleBytes)),
      extents_(static_cast<std::uint32_t>(view.granules())),
      totals_(vault_.header().totals) {
  if (!vault_) throw std::bad_alloc();
}

RegionCore::RegionCore(RegionView view, std::string name, std::uint32_t tag, const Limits& limits,
                       std::uint64_t now_unix_ns, VaultView vault)
    : RegionCore(view, vault, limits) {
  name_ = std::move(name);
  tag_ = tag;
  VaultHeader& kept = vault_.header();
  kept.granules = view_.granules();
  kept.next_incarnation = 1;
  kept.next_session = region::kFirstSession;
  totals_ = Totals{};
  kept.magic = kVaultMagic;
  region::DirectoryHeader& header = view_.header();
  header.magic = region::kMagic;
  header.fingerprint = region::fingerprint();
  header.granules = view_.granules();
  header.region_tag = tag_;
  header.created_unix_ns = now_unix_ns;
  protocol::set_text(header.name, name_);
  header.boot_epoch.store_release(1);
}

Expected<SessionTicket> RegionCore::open_session(const Peer& peer, std::string_view label,
                                                 std::uint64_t now_unix_ns) {
  const std::uint32_t room = region::kSessionLimit - region::kFirstSession;
  const std::uint32_t limit = std::min(limits_.max_sessions, room);
  if (sessions_.size() >= limit) {
    ++totals_.refusals;
    return Error(Errc::kTooManySessions, "max_sessions = " + std::to_string(limit));
  }
  const auto of_uid = std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    return entry.second.peer.uid == peer.uid;
  });
  if (of_uid >= limits_.max_sessions_per_uid) {
    ++totals_.refusals;
    return Error(Errc::kTooManySessions,
                 "max_sessions_per_uid = " + std::to_string(limits_.max_sessions_per_uid));
  }
  // Ids go round, so that a stale {session, generation} meets its id again as late as possible.
  const auto after = [](std::uint32_t id) {
    return id + 1 < region::kSessionLimit ? id + 1 : region::kFirstSession;
  };
  VaultHeader& kept = vault_.header();
  auto id = static_cast<std::uint32_t>(kept.next_session);
  while (sessions_.contains(id)) id = after(id);
  const SessionTicket ticket{id, kept.next_incarnation};
  kept.next_incarnation = ticket.incarnation + 1;
  kept.next_session = after(id);
  kept.welcomed.at(id / 64) &= ~(std::uint64_t{1} << id % 64);
  then();

  SessionRecord& record = sessions_[ticket.id];
  record.state = SessionState::kLive;
  record.peer = peer;
  record.incarnation = ticket.incarnation;

  region::SessionEntry& entry = view_.session(ticket.id);
  entry.pid = static_cast<std::uint32_t>(peer.pid);
  entry.uid = peer.uid;
  entry.heap_count = 0;
  entry.incarnation = ticket.incarnation;
  entry.connected_unix_ns = now_unix_ns;
  entry.granted_bytes.store_relaxed(0);
  entry.granted_spans.store_relaxed(0);
  protocol::set_text(entry.label, label);
  // R3 pairs with A3 in the audit and in readers of the session table: fields before state.
  entry.state.store_release(static_cast<std::uint32_t>(SessionState::kLive));
  return ticket;
}

void RegionCore::detach(std::uint32_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.state != SessionState::kLive) return;
  found->second.state = SessionState::kDetached;
  view_.session(session).state.store_release(static_cast<std::uint32_t>(SessionState::kDetached));
}

void RegionCore::let_resume(std::uint32_t session) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second.waits_for_resume = true;
}

Expected<void> RegionCore::resume(std::uint32_t session, std::uint64_t incarnation,
                                  const Peer& peer) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.incarnation != incarnation ||
      !found->second.waits_for_resume || found->second.state != SessionState::kDetached) {
    return Error(Errc::kUnknownSession,
                 std::to_string(session) + "." + std::to_string(incarnation));
  }
  found->second.peer = peer;
  found->second.state = SessionState::kLive;
  view_.session(session).state.store_release(static_cast<std::uint32_t>(SessionState::kLive));
  return {};
}

void RegionCore::note_welcomed(std::uint32_t session) {
  vault_.header().welcomed.at(session / 64) |= std::uint64_t{1} << session % 64;
}

void RegionCore::note_heard(std::uint32_t session) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second.waits_for_resume = false;
}

void RegionCore::note_goodbye(std::uint32_t session) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) found->second.said_goodbye = true;
}

Expected<RegionCore::SessionRecord*> RegionCore::live_session(std::uint32_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || found->second.state != SessionState::kLive) {
    return Error(Errc::kUnknownSession, std::to_string(id));
  }
  return &found->second;
}

const RegionCore::SessionRecord* RegionCore::session(std::uint32_t id) const noexcept {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : &found->second;
}

std::uint64_t RegionCore::uid_granted_bytes(uid_t uid) const noexcept {
  const auto found = uid_granted_.find(uid);
  return found == uid_granted_.end() ? 0 : found->second;
}

Expected<std::uint32_t> RegionCore::attach_heap(std::uint32_t session) {
  auto record = live_session(session);
  if (!record) return record.error();
  const uid_t uid = (*record)->peer.uid;
  const auto of_uid =
      std::count_if(heap_sessions_.begin(), heap_sessions_.end(),
                    [&](const auto& entry) { return sessions_.at(entry.second).peer.uid == uid; });
  if (of_uid >= limits_.max_heaps_per_uid) {
    ++totals_.refusals;
    return Error(Errc::kTooManyHeaps,
                 "max_heaps_per_uid = " + std::to_string(limits_.max_heaps_per_uid));
  }
  const std::uint32_t limit = std::min(limits_.max_heaps, region::kHeapLimit);
  for (std::uint32_t heap = 0; heap < limit; ++heap) {
    if (heaps_used_.test(heap)) continue;
    heaps_used_.set(heap);
    heap_sessions_[heap] = session;
    ++(*record)->pending_heaps;
    view_.session(session).heap_count = ++(*record)->heaps;
    view_.heap(heap).session.store_release(session);
    return heap;
  }
  ++totals_.refusals;
  return Error(Errc::kTooManyHeaps, "max_heaps = " + std::to_string(limit));
}

void RegionCore::finish_heap(std::uint32_t heap, bool committed) {
  // The heap and its session are there: the session's recovery waits for this.
  const std::uint32_t session = heap_sessions_.at(heap);
  SessionRecord& record = sessions_.at(session);
  --record.pending_heaps;
  if (committed) return;
  view_.session(session).heap_count = --record.heaps;
  view_.heap(heap).session.store_release(0);
  heap_sessions_.erase(heap);
  heaps_used_.reset(heap);
}

FileRange RegionCore::heap_range(std::uint32_t heap) noexcept {
  return {RegionFile::kLedger,
          FileLayout::kHeapLedgersOffset + heap * std::uint64_t{sizeof(region::HeapLedger)},
          sizeof(region::HeapLedger)};
}

}  // namespace allot::core
