#include "daemon/core/region_core.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace allot::core {

using region::FileLayout;
using region::kGranuleBytes;
using region::SessionState;
using region::SpanDescriptor;
using region::SpanState;

namespace {

// Short enough for a Failure even where every number is 2^40: the limits' names carry the unit.
Error limit_error(Errc errc, const std::string& who, std::uint64_t wanted, std::uint64_t used,
                  std::uint64_t limit, const char* limit_name) {
  return {errc, who + "wanted " + std::to_string(wanted) + ", used " + std::to_string(used) +
                    " of " + limit_name + " = " + std::to_string(limit)};
}

}  // namespace

RegionCore::RegionCore(RegionView view, std::string name, std::uint32_t tag, const Limits& limits,
                       std::uint64_t now_unix_ns)
    : view_(view),
      name_(std::move(name)),
      tag_(tag),
      limits_(limits),
      extents_(static_cast<std::uint32_t>(view.granules())) {
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
  while (sessions_.contains(next_session_)) {
    next_session_ =
        next_session_ + 1 < region::kSessionLimit ? next_session_ + 1 : region::kFirstSession;
  }
  const SessionTicket ticket{next_session_, next_incarnation_++};
  next_session_ =
      next_session_ + 1 < region::kSessionLimit ? next_session_ + 1 : region::kFirstSession;

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

// --- grants ---

Expected<void> RegionCore::check_grant(std::uint32_t session, const SessionRecord& record,
                                       const protocol::GrantRequest& request,
                                       std::uint64_t available_bytes) {
  const std::uint64_t granules = view_.granules();
  if (request.granules == 0 || request.count == 0) return Error(Errc::kSizeZero);
  if (request.granules > granules || request.count > granules / request.granules) {
    return Error(Errc::kSizeTooLarge, std::to_string(request.granules) + " granules times " +
                                          std::to_string(request.count) + " in a region of " +
                                          std::to_string(granules));
  }
  if (request.count > kMaxSpansPerGrant) {
    return Error(Errc::kBadArgument, std::to_string(request.count) + " spans, the most is " +
                                         std::to_string(kMaxSpansPerGrant));
  }
  if (!std::has_single_bit(request.align_granules) ||
      request.align_granules > std::min<std::uint64_t>(granules, kMaxAlignGranules)) {
    return Error(Errc::kBadAlignment, std::to_string(request.align_granules) + " granules");
  }
  if (request.words == 0 || request.words % region::kWordsPerUnit != 0 ||
      request.words > kMaxWordsPerSpan ||
      request.words > std::uint64_t{request.granules} * region::kWordsPerGranule ||
      request.words / region::kWordsPerUnit > SpanDescriptor::kMaxWordUnits) {
    return Error(Errc::kBadArgument, std::to_string(request.words) + " own words");
  }
  const std::uint64_t wanted = std::uint64_t{request.granules} * request.count * kGranuleBytes;
  if (wanted > limits_.max_grant_bytes) {
    return Error(Errc::kSizeTooLarge, "wanted " + std::to_string(wanted) + ", max_grant_bytes = " +
                                          std::to_string(limits_.max_grant_bytes));
  }
  const auto over = [wanted](std::uint64_t used, std::uint64_t limit) {
    return used > limit || wanted > limit - used;
  };
  if (over(record.granted_bytes, limits_.session_quota_bytes)) {
    return limit_error(Errc::kSessionQuota, "session " + std::to_string(session) + ' ', wanted,
                       record.granted_bytes, limits_.session_quota_bytes, "session_quota_bytes");
  }
  const std::uint64_t of_uid = uid_granted_bytes(record.peer.uid);
  if (over(of_uid, limits_.uid_quota_bytes)) {
    return limit_error(Errc::kUidQuota, "uid " + std::to_string(record.peer.uid) + ' ', wanted,
                       of_uid, limits_.uid_quota_bytes, "uid_quota_bytes");
  }
  if (over(totals_.granted_bytes, limits_.commit_limit_bytes)) {
    return limit_error(Errc::kCommitLimit, {}, wanted, totals_.granted_bytes,
                       limits_.commit_limit_bytes, "commit_limit_bytes");
  }
  // The quotas are of data; what the machine must have is data and own words.
  const std::uint64_t committed =
      wanted + std::uint64_t{request.words} * request.count * sizeof(std::uint32_t);
  if (available_bytes < limits_.available_floor_bytes ||
      committed > available_bytes - limits_.available_floor_bytes) {
    return Error(
        Errc::kMachineFull,
        "wanted " + std::to_string(committed) + ", " + std::to_string(available_bytes) +
            " available, available_floor_bytes = " + std::to_string(limits_.available_floor_bytes));
  }
  return {};
}

Expected<GrantPlan> RegionCore::plan_grant(std::uint32_t session,
                                           const protocol::GrantRequest& request,
                                           std::uint64_t available_bytes) {
  auto record = live_session(session);
  if (!record) return record.error();
  auto allowed = check_grant(session, **record, request, available_bytes);
  if (!allowed) {
    ++totals_.refusals;
    return allowed.error();
  }
  const auto first = extents_.allocate(request.granules, request.count, request.align_granules);
  if (!first) {
    ++totals_.refusals;
    return Error(Errc::kRegionFull,
                 std::to_string(std::uint64_t{request.granules} * request.count) +
                     " granules wanted, " + std::to_string(extents_.free_granules()) +
                     " free, longest free run " + std::to_string(extents_.largest_free()));
  }
  GrantPlan plan{session,       (*record)->incarnation, *first, request.granules,
                 request.count, request.words,          0,      {}};
  const std::uint64_t total = std::uint64_t{request.granules} * request.count;
  plan.high_water_granules = std::max(high_water_, *first + total);

  const FileLayout layout{view_.granules()};
  plan.ranges.push_back(
      {RegionFile::kDirectory, FileLayout::kDescriptorsOffset + *first * 8ULL, total * 8});
  plan.ranges.push_back({RegionFile::kLedger,
                         FileLayout::kSpanLedgersOffset + *first * sizeof(region::SpanLedger),
                         total * sizeof(region::SpanLedger)});
  for (std::uint32_t i = 0; i < request.count; ++i) {
    const std::uint64_t span_first = *first + std::uint64_t{i} * request.granules;
    extents_.find(static_cast<std::uint32_t>(span_first))->info =
        SpanInfo{session, (*record)->peer.uid, request.words, 0};
    plan.ranges.push_back({RegionFile::kLedger,
                           layout.words_offset() + span_first * region::kWordsPerGranule * 4,
                           std::uint64_t{request.words} * 4});
  }
  plan.ranges.push_back({RegionFile::kData, *first * kGranuleBytes, total * kGranuleBytes});
  mark_clean(*first, static_cast<std::uint32_t>(total));
  charge(SpanInfo{session, (*record)->peer.uid, 0, 0}, static_cast<std::uint32_t>(total));
  ++(*record)->pending_grants;
  return plan;
}

Expected<protocol::Granted> RegionCore::finish_grant(const GrantPlan& plan,
                                                     std::uint64_t now_unix_ns) {
  auto record = live_session(plan.session);
  if (!record || (*record)->incarnation != plan.incarnation) {
    abandon_grant(plan);
    return Error(Errc::kUnknownSession, std::to_string(plan.session));
  }
  assert(now_unix_ns != 0);
  --(*record)->pending_grants;
  high_water_ = std::max(high_water_, plan.high_water_granules);
  view_.header().high_water_granules.store_release(high_water_);
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    Extent* const extent = extents_.find(plan.first + i * plan.granules);
    assert(extent != nullptr);
    extent->info.granted_unix_ns = now_unix_ns;
    // Whatever lay here before is invalid from now on: a late CAS of a former owner must fail.
    for (std::uint32_t word = 0; word < plan.words; ++word) {
      view_.word(extent->first(), word).store_relaxed(0);
    }
    view_.span_ledger(extent->first()).hint.store_relaxed(0);
    view_.span_ledger(extent->first()).carve.store_relaxed(0);
    write_descriptors(*extent, SpanState::kGranted);
  }
  (*record)->granted_spans += plan.count;
  view_.session(plan.session).granted_spans.store_relaxed((*record)->granted_spans);
  ++totals_.grants;
  return protocol::Granted{plan.first, plan.granules, plan.count, plan.words, high_water_};
}

void RegionCore::abandon_grant(const GrantPlan& plan) {
  // The session is there: its recovery waits for this.
  --sessions_.at(plan.session).pending_grants;
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    Extent* const extent = extents_.find(plan.first + i * plan.granules);
    if (extent == nullptr) continue;
    refund(extent->info, extent->granules());
    mark_dirty(extent->first(), extent->granules(), 0);
    extents_.release(extent->first());
  }
}

void RegionCore::charge(const SpanInfo& info, std::uint32_t granules) {
  const std::uint64_t bytes = granules * kGranuleBytes;
  totals_.granted_bytes += bytes;
  uid_granted_[info.uid] += bytes;
  const auto found = sessions_.find(info.session);
  if (found == sessions_.end()) return;
  found->second.granted_bytes += bytes;
  view_.session(info.session).granted_bytes.store_relaxed(found->second.granted_bytes);
}

void RegionCore::refund(const SpanInfo& info, std::uint32_t granules) {
  const std::uint64_t bytes = granules * kGranuleBytes;
  totals_.granted_bytes -= bytes;
  std::uint64_t& of_uid = uid_granted_[info.uid];
  of_uid -= bytes;
  if (of_uid == 0) uid_granted_.erase(info.uid);
  const auto found = sessions_.find(info.session);
  if (found == sessions_.end()) return;
  found->second.granted_bytes -= bytes;
  view_.session(info.session).granted_bytes.store_relaxed(found->second.granted_bytes);
}

void RegionCore::write_descriptors(const Extent& extent, SpanState state) {
  for (std::uint32_t i = 1; i < extent.granules(); ++i) {
    view_.descriptor(extent.first() + i)
        .store_relaxed(SpanDescriptor{SpanState::kInterior, 0, i, 0}.encode());
  }
  const SpanDescriptor head{state, state == SpanState::kGranted ? extent.info.session : 0,
                            extent.granules(), extent.info.word_count / region::kWordsPerUnit};
  // R1 pairs with A1 in RegionView::find_span(): this store is the grant.
  view_.descriptor(extent.first()).store_release(head.encode());
}

void RegionCore::erase_descriptors(const Extent& extent) {
  view_.descriptor(extent.first()).store_release(0);
  for (std::uint32_t i = 1; i < extent.granules(); ++i) {
    view_.descriptor(extent.first() + i).store_relaxed(0);
  }
}

void RegionCore::free_span(Extent& extent, std::uint64_t now_unix_ns) {
  const std::uint32_t first = extent.first();
  erase_descriptors(extent);
  refund(extent.info, extent.granules());
  if (const auto holder = sessions_.find(extent.info.session); holder != sessions_.end()) {
    --holder->second.granted_spans;
    view_.session(holder->first).granted_spans.store_relaxed(holder->second.granted_spans);
  }
  orphans_.erase(first);
  freed_large_.erase(first);
  taken_.erase(first);
  mark_dirty(first, extent.granules(), now_unix_ns);
  extents_.release(first);
}

Expected<void> RegionCore::return_span(std::uint32_t session, std::uint64_t first,
                                       std::uint64_t now_unix_ns) {
  auto record = live_session(session);
  if (!record) return record.error();
  Extent* const extent =
      first < view_.granules() ? extents_.find(static_cast<std::uint32_t>(first)) : nullptr;
  if (extent == nullptr || extent->info.session != session || extent->info.granted_unix_ns == 0) {
    return Error(Errc::kNotOwner,
                 "no span of this session begins at granule " + std::to_string(first));
  }
  if (holds_live_block(*extent)) {
    return Error(Errc::kBadArgument,
                 "the span at granule " + std::to_string(first) + " still holds live blocks");
  }
  free_span(*extent, now_unix_ns);
  ++totals_.returns;
  return {};
}

bool RegionCore::holds_live_block(const Extent& extent) const noexcept {
  for (std::uint32_t i = 0; i < extent.info.word_count; ++i) {
    if (detail::OwnWord::is_live(view_.word(extent.first(), i).load_acquire())) return true;
  }
  return false;
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

// --- memory going back ---

void RegionCore::mark_dirty(std::uint32_t first, std::uint32_t granules,
                            std::uint64_t now_unix_ns) {
  dirty_[first] = Dirty{granules, now_unix_ns};
  totals_.dirty_bytes += granules * kGranuleBytes;
}

void RegionCore::mark_clean(std::uint32_t first, std::uint32_t granules) {
  const std::uint32_t end = first + granules;
  auto it = dirty_.upper_bound(first);
  if (it != dirty_.begin() && std::prev(it)->first + std::prev(it)->second.granules > first) --it;
  while (it != dirty_.end() && it->first < end) {
    const std::uint32_t dirty_first = it->first;
    const Dirty old = it->second;
    const std::uint32_t dirty_end = dirty_first + old.granules;
    it = dirty_.erase(it);
    if (dirty_first < first) dirty_[dirty_first] = Dirty{first - dirty_first, old.since_unix_ns};
    if (dirty_end > end) it = dirty_.emplace(end, Dirty{dirty_end - end, old.since_unix_ns}).first;
    const std::uint32_t removed = std::min(dirty_end, end) - std::max(dirty_first, first);
    totals_.dirty_bytes -= removed * kGranuleBytes;
  }
}

std::vector<FileRange> RegionCore::next_punch(std::uint32_t max_granules,
                                              std::uint64_t now_unix_ns) {
  for (auto& [first, punched] : taken_) {
    Extent* const extent = extents_.find(first);
    assert(extent != nullptr);
    const std::uint32_t start = first + punched;
    const std::uint32_t length = std::min(max_granules, extent->granules() - punched);
    punched += length;
    if (punched == extent->granules()) taken_.erase(first);
    return {{RegionFile::kData, start * kGranuleBytes, length * kGranuleBytes}};
  }
  const std::uint64_t delay_ns = limits_.punch_delay_ms * 1'000'000;
  for (const auto& [first, dirty] : dirty_) {
    if (now_unix_ns < dirty.since_unix_ns + delay_ns) continue;
    const std::uint32_t start = first;
    const std::uint32_t length = std::min(max_granules, dirty.granules);
    mark_clean(start, length);
    const FileLayout layout{view_.granules()};
    constexpr std::uint64_t kWordBytes = region::kWordsPerGranule * sizeof(std::uint32_t);
    return {{RegionFile::kData, start * kGranuleBytes, length * kGranuleBytes},
            {RegionFile::kLedger, layout.words_offset() + start * kWordBytes, length * kWordBytes}};
  }
  return {};
}

}  // namespace allot::core
