// Recovery: what a dead session held is freed, in slices.
//
// begin_recovery() is called once the kernel has shown that no image maps the session's presence
// file: from then on nobody executes a store in its name. The pass visits every span once, at
// ascending addresses; a word behind the cursor cannot come to name a dead session, since only
// that session itself could have written it. Each step is idempotent: killed half way, the pass
// runs again from the start.

#include <algorithm>
#include <cassert>

#include "daemon/core/region_core.hpp"

namespace allot::core {

using detail::OwnWord;
using region::SessionState;

void RegionCore::begin_recovery(std::uint32_t session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.state == SessionState::kDraining) return;
  found->second.state = SessionState::kDraining;
  view_.session(session).state.store_release(static_cast<std::uint32_t>(SessionState::kDraining));
  dead_waiting_.insert(session);
}

bool RegionCore::recovery_pending() const noexcept {
  return !dead_waiting_.empty() || !dead_in_pass_.empty();
}

std::vector<RegionCore::Ended> RegionCore::recover_step(std::uint64_t budget_words,
                                                        std::uint64_t now_ns) {
  if (dead_in_pass_.empty()) {
    dead_in_pass_.swap(dead_waiting_);
    pass_granule_ = 0;
  }
  if (dead_in_pass_.empty()) return {};
  std::uint64_t scanned = 0;
  while (scanned < budget_words) {
    Extent* const extent = extents_.at_or_after(pass_granule_);
    if (extent == nullptr) break;
    pass_granule_ = extent->end();
    ++scanned;
    // A plan that is not finished has no descriptor and no words yet; its end abandons it.
    if (!extent->is_span() || extent->info.granted_unix_ns == 0) continue;
    scanned += extent->info.word_count;
    recover_span(*extent, now_ns);
  }
  if (extents_.at_or_after(pass_granule_) != nullptr) return {};
  for (const std::uint32_t id : dead_in_pass_) {
    const SessionRecord& record = sessions_.at(id);
    if (record.pending_grants > 0 || record.pending_heaps > 0) return {};
  }

  std::uint64_t budget_left = budget_words > scanned ? budget_words - scanned : 1;
  for (auto id = dead_in_pass_.lower_bound(next_to_unpin_); id != dead_in_pass_.end(); ++id) {
    if (!drop_pins(*id, budget_left, now_ns)) return {};
    next_to_unpin_ = *id + 1;
  }
  next_to_unpin_ = 0;

  std::vector<Ended> ended;
  for (const std::uint32_t id : dead_in_pass_) {
    ended.push_back({id, sessions_.at(id).incarnation});
    finish_recovery(id);
  }
  dead_in_pass_.clear();
  sweep(now_ns);
  return ended;
}

void RegionCore::recover_span(Extent& extent, std::uint64_t now_ns) {
  // A word of a dead session changes under us at most once, when a receiver adopts what it had
  // offered; a member that keeps scribbling is overruled after a few tries.
  constexpr int kTries = 8;
  const std::uint32_t first = extent.first();
  bool live = false;
  bool freed = false;
  bool to_collect = false;
  // Words behind the first of a chunked block are no blocks: closed, and not counted.
  const bool chunked = view_.span_ledger(first).carve.load_acquire() == region::CarveWord::kChunked;
  for (std::uint32_t i = 0; i < extent.info.word_count; ++i) {
    auto& own = view_.word(first, i);
    std::uint32_t word = own.load_acquire();
    for (int tries = 0; is_abandoned(word, first * std::uint64_t{region::kWordsPerGranule} + i);
         ++tries) {
      const std::uint32_t next = OwnWord::after_free(word, OwnWord::kFreed);
      if (tries == kTries) own.store_release(next);
      if (tries == kTries || own.compare_exchange_acq_rel(word, next)) {
        word = next;
        if (chunked && i > 0) continue;
        ++totals_.recovered_blocks;
        freed = true;
      }
    }
    if (chunked && i > 0) continue;
    live = live || OwnWord::is_live(word);
    to_collect = to_collect || OwnWord::owner(word) == OwnWord::kFreed;
  }
  if (extent.info.session != 0 && dead_in_pass_.contains(extent.info.session)) {
    if (!live) {
      free_span(extent, now_ns);
      return;
    }
    SessionRecord& holder = sessions_.at(extent.info.session);
    const std::uint64_t bytes = extent.granules() * region::kGranuleBytes;
    holder.granted_bytes -= bytes;  // still charged to the uid
    --holder.granted_spans;
    view_.session(extent.info.session).granted_bytes.store_relaxed(holder.granted_bytes);
    view_.session(extent.info.session).granted_spans.store_relaxed(holder.granted_spans);
    extent.info.session = 0;
    add_orphan(extent);
    return;
  }
  // What the dead freed last they may not have come to say.
  if (to_collect) view_.span_ledger(first).hint.store_release(1);
  if (freed) note_freed(first, now_ns);
}

// Only a member's scribble makes the second and third case. It must not outlive its author.
bool RegionCore::is_abandoned(std::uint32_t word, std::uint64_t index) const {
  const std::uint32_t owner = OwnWord::owner(word);
  if (owner == OwnWord::kKept) return !kept_words_.contains(index);
  if (!OwnWord::is_session(word)) return false;
  return dead_in_pass_.contains(owner) || view_.session(owner).state.load_relaxed() ==
                                              static_cast<std::uint32_t>(SessionState::kAbsent);
}

void RegionCore::finish_recovery(std::uint32_t id) {
  const SessionRecord& record = sessions_.at(id);
  fold_heaps(record, id);
  while (!record.reservations.empty()) end_reservation(*record.reservations.begin());
  assert(record.granted_bytes == 0 && record.granted_spans == 0);
  assert(record.reservation_bytes == 0);
  // Last: from here on the id may be used again (invariant I4).
  view_.session(id).state.store_release(static_cast<std::uint32_t>(SessionState::kAbsent));
  sessions_.erase(id);
  ++totals_.recoveries;
}

void RegionCore::fold_heaps(const SessionRecord& record, std::uint32_t id) {
  for (auto it = heap_sessions_.begin(); it != heap_sessions_.end();) {
    if (it->second != id) {
      ++it;
      continue;
    }
    retire_heap(it->first, !record.said_goodbye);
    heaps_used_.reset(it->first);
    it = heap_sessions_.erase(it);
  }
}

// Its counters are in the totals once and once only, wherever the daemon is killed.
void RegionCore::retire_heap(std::uint32_t heap, bool killed) {
  Retirement& retirement = vault_.header().retirement;
  retirement.allocations = totals_.retired_allocations;
  retirement.frees = totals_.retired_frees;
  retirement.killed_heaps = totals_.killed_heaps + (killed ? 1 : 0);
  for (const region::BinCounters& bin : view_.heap_ledger(heap).bins) {
    retirement.allocations += bin.allocations.load_relaxed();
    retirement.frees += bin.frees.load_relaxed();
  }
  then();
  retirement.heap_plus_one = heap + std::uint64_t{1};
  then();
  finish_retirement();
}

void RegionCore::finish_retirement() {
  Retirement& retirement = vault_.header().retirement;
  if (retirement.heap_plus_one == 0) return;
  const auto heap = static_cast<std::uint32_t>(retirement.heap_plus_one - 1);
  for (region::BinCounters& bin : view_.heap_ledger(heap).bins) {
    bin.allocations.store_relaxed(0);
    bin.frees.store_relaxed(0);
    bin.fills.store_relaxed(0);
    bin.granted.store_relaxed(0);
    bin.peak.store_relaxed(0);
    bin.block_bytes.store_relaxed(0);
    for (auto& part : bin.pool) part.store_relaxed(0);
  }
  totals_.retired_allocations = retirement.allocations;
  totals_.retired_frees = retirement.frees;
  totals_.killed_heaps = retirement.killed_heaps;
  view_.heap(heap).session.store_release(0);
  then();
  retirement.heap_plus_one = 0;
  then();
}

}  // namespace allot::core
