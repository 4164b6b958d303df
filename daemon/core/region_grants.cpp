// Spans: granted, given back, and their memory returned to the machine.

#include <algorithm>
#include <bit>
#include <cassert>

#include "daemon/core/limit_error.hpp"
#include "daemon/core/region_core.hpp"

namespace allot::core {

using region::FileLayout;
using region::kGranuleBytes;
using region::SpanDescriptor;
using region::SpanState;

namespace {

constexpr std::uint64_t kPunchRetryNs = 1'000'000'000;

}  // namespace

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
      request.words > region::kMaxWordsPerSpan ||
      request.words > std::uint64_t{request.granules} * region::kWordsPerGranule ||
      request.words / region::kWordsPerUnit > SpanDescriptor::kMaxWordUnits) {
    return Error(Errc::kBadArgument, std::to_string(request.words) + " own words");
  }
  if (std::uint64_t{request.words} * request.count > kMaxWordsPerMessage) {
    return Error(Errc::kBadArgument,
                 std::to_string(request.count) + " spans of " + std::to_string(request.words) +
                     " own words, the most is " + std::to_string(kMaxWordsPerMessage) + " words");
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
  totals_.least_available_bytes = std::min(totals_.least_available_bytes, available_bytes);
  auto allowed = check_grant(session, **record, request, available_bytes);
  if (!allowed) {
    note_refusal(allowed.error().errc());
    return allowed.error();
  }
  const auto first = place_spans(session, request);
  if (!first) {
    note_refusal(first.error().errc());
    return first.error();
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
  const std::uint64_t dirty_before = dirty_.granules();
  dirty_.remove(*first, static_cast<std::uint32_t>(total));
  plan.used_granules = dirty_before - dirty_.granules();
  charge(SpanInfo{session, (*record)->peer.uid, 0, 0}, static_cast<std::uint32_t>(total));
  ++(*record)->pending_grants;
  note_room();
  return plan;
}

void RegionCore::note_refusal(Errc errc) {
  ++totals_.refusals;
  // A user's quota, too: his other sessions may have what this one misses.
  if (errc == Errc::kUidQuota || errc == Errc::kCommitLimit || errc == Errc::kMachineFull ||
      errc == Errc::kRegionFull) {
    // Relaxed: it publishes nothing.
    view_.header().pressure.store_relaxed(++pressure_count_);
  }
}

// Asks for memory back before somebody has to be refused.
void RegionCore::note_room() {
  auto& pressure = view_.header().pressure;
  const std::uint64_t limit = limits_.commit_limit_bytes;
  const bool is_short = totals_.granted_bytes > limit - limit / 8;
  const bool was_short = pressure.load_relaxed() != 0;
  if (is_short != was_short) pressure.store_relaxed(is_short ? ++pressure_count_ : 0);
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
    vault_.span(extent->first()) = {now_unix_ns, extent->info.uid};
    then();
    write_descriptors(*extent, SpanState::kGranted);
  }
  (*record)->granted_spans += plan.count;
  ++(*record)->grants;
  view_.session(plan.session).granted_spans.store_relaxed((*record)->granted_spans);
  ++totals_.grants;
  return protocol::Granted{plan.first, plan.granules, plan.count,
                           plan.words, high_water_,   plan.used_granules};
}

void RegionCore::abandon_grant(const GrantPlan& plan) {
  // The session is there: its recovery waits for this.
  --sessions_.at(plan.session).pending_grants;
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    Extent* const extent = extents_.find(plan.first + i * plan.granules);
    if (extent == nullptr) continue;
    refund(extent->info, extent->granules());
    dirty_.add(extent->first(), extent->granules(), 0);
    release_span(extent->first());
  }
}

void RegionCore::charge(const SpanInfo& info, std::uint32_t granules) {
  const std::uint64_t bytes = granules * kGranuleBytes;
  totals_.granted_bytes += bytes;
  totals_.most_granted_bytes = std::max(totals_.most_granted_bytes, totals_.granted_bytes);
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

void RegionCore::free_span(Extent& extent, std::uint64_t now_ns) {
  const std::uint32_t first = extent.first();
  erase_descriptors(extent);
  refund(extent.info, extent.granules());
  if (const auto holder = sessions_.find(extent.info.session); holder != sessions_.end()) {
    --holder->second.granted_spans;
    view_.session(holder->first).granted_spans.store_relaxed(holder->second.granted_spans);
  }
  orphans_.erase({extent.info.orphan_bin, first});
  freed_large_.erase(first);
  unheard_large_.erase(first);
  taken_.erase(first);
  dirty_.add(first, extent.granules(), now_ns);
  release_span(first);
}

Expected<void> RegionCore::return_spans(std::uint32_t session, const protocol::ReturnSpan& request,
                                        std::uint64_t now_ns) {
  auto record = live_session(session);
  if (!record) return record.error();
  const std::uint64_t granules = view_.granules();
  if (request.first >= granules || request.granules > granules - request.first) {
    return Error(Errc::kNotOwner, "granule " + std::to_string(request.first) + " and " +
                                      std::to_string(request.granules) +
                                      " granules are not in the region");
  }
  const std::uint64_t end = request.first + std::max<std::uint64_t>(request.granules, 1);
  std::vector<Extent*> spans;
  std::uint64_t words = 0;
  for (std::uint64_t at = request.first; at < end; at = spans.back()->end()) {
    Extent* const extent = extents_.find(static_cast<std::uint32_t>(at));
    if (extent == nullptr || extent->info.session != session || extent->info.granted_unix_ns == 0) {
      return Error(Errc::kNotOwner,
                   "no span of this session begins at granule " + std::to_string(at));
    }
    words += extent->info.word_count;
    if (words > kMaxWordsPerMessage) {
      return Error(Errc::kBadArgument,
                   "spans of more than " + std::to_string(kMaxWordsPerMessage) + " own words");
    }
    if (holds_live_block(*extent)) {
      return Error(Errc::kBadArgument,
                   "the span at granule " + std::to_string(at) + " still holds live blocks");
    }
    spans.push_back(extent);
  }
  if (request.granules != 0 && spans.back()->end() != end) {
    return Error(Errc::kBadArgument, "no span ends at granule " + std::to_string(end));
  }
  for (Extent* const extent : spans) free_span(*extent, now_ns);
  totals_.returns += spans.size();
  return {};
}

bool RegionCore::holds_live_block(const Extent& extent) const noexcept {
  for (std::uint32_t i = 0; i < extent.info.word_count; ++i) {
    if (detail::OwnWord::is_live(view_.word(extent.first(), i).load_acquire())) return true;
  }
  return false;
}

std::vector<FileRange> RegionCore::next_punch(std::uint32_t max_granules, std::uint64_t now_ns) {
  for (auto& [first, punched] : taken_) {
    Extent* const extent = extents_.find(first);
    assert(extent != nullptr);
    const std::uint32_t start = first + punched;
    const std::uint32_t length = std::min(max_granules, extent->granules() - punched);
    punched += length;
    if (punched == extent->granules()) taken_.erase(first);
    return {{RegionFile::kData, start * kGranuleBytes, length * kGranuleBytes}};
  }
  const std::uint64_t delay_ns = punch_is_urgent() ? 0 : limits_.punch_delay_ms * 1'000'000;
  if (now_ns < delay_ns) return {};
  const auto dirty = dirty_.take(max_granules, now_ns - delay_ns);
  if (!dirty) return {};
  const FileLayout layout{view_.granules()};
  constexpr std::uint64_t kWordBytes = region::kWordsPerGranule * sizeof(std::uint32_t);
  return {{RegionFile::kData, dirty->first * kGranuleBytes, dirty->granules * kGranuleBytes},
          {RegionFile::kLedger, layout.words_offset() + dirty->first * kWordBytes,
           dirty->granules * kWordBytes}};
}

void RegionCore::punch_failed(const FileRange& range, std::uint64_t now_ns) {
  if (range.file != RegionFile::kData) return;
  const auto first = static_cast<std::uint32_t>(range.offset_bytes / kGranuleBytes);
  const Extent* const extent = extents_.at_or_after(first);
  // A taken block's span is still granted; nobody is told that it is zero.
  if (extent == nullptr || extent->is_span()) return;
  dirty_.add(first, static_cast<std::uint32_t>(range.length_bytes / kGranuleBytes),
             now_ns + kPunchRetryNs);
}

}  // namespace allot::core
