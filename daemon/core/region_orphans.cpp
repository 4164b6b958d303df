// What stays after a death until its last block is free: orphans, which are swept, or adopted by a
// session that needs blocks of their size; and large blocks that others freed and nobody collects.

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "daemon/core/limit_error.hpp"
#include "daemon/core/region_core.hpp"

namespace allot::core {

using detail::OwnWord;
using region::SizeClass;

namespace {

constexpr std::uint64_t kWordsPerSweep = 262'144;  // about 0.3 ms
constexpr std::uint32_t kExtentsPerSweep = 16'384;
// An orphan is worth its adoption while one in so many of its blocks is free.
constexpr std::uint32_t kBlocksPerFreeOne = 8;

}  // namespace

// What the carve word says is the word of the dead: who adopts it looks again.
void RegionCore::add_orphan(Extent& extent) {
  write_descriptors(extent, region::SpanState::kOrphan);
  const auto span = view_.find_span(extent.first(), high_water_);
  const region::Carving carving = view_.carving_of(*span);
  const bool is_of_class =
      carving.kind == region::Carving::Kind::kBlocks && carving.bin < region::kClassCount;
  extent.info.orphan_bin = is_of_class ? carving.bin : region::kLargeBin;
  orphans_.insert({extent.info.orphan_bin, extent.first()});
  tell_of_orphan(extent.info.orphan_bin);
}

void RegionCore::tell_of_orphan(std::uint32_t bin) {
  if (bin < region::kClassCount) view_.header().orphan_news[bin].add_single_writer(1);
}

Expected<std::optional<protocol::Adopted>> RegionCore::adopt_orphan(std::uint32_t session,
                                                                    std::uint64_t bin) {
  auto record = live_session(session);
  if (!record) return record.error();
  if (bin >= region::kClassCount) {
    return Error(Errc::kBadArgument, "there is no size class " + std::to_string(bin));
  }
  const SizeClass& cut = region::kSizeClasses.at(bin);
  const std::uint64_t bytes = cut.span_granules * region::kGranuleBytes;
  const std::uint64_t quota = limits_.session_quota_bytes;
  if ((*record)->granted_bytes > quota || bytes > quota - (*record)->granted_bytes) {
    return limit_error(Errc::kSessionQuota, "session " + std::to_string(session) + ' ', bytes,
                       (*record)->granted_bytes, quota, "session_quota_bytes");
  }
  std::uint64_t scanned = 0;
  for (auto orphan = orphans_.lower_bound({static_cast<std::uint32_t>(bin), 0});
       orphan != orphans_.end() && orphan->first == bin && scanned < kWordsPerSweep; ++orphan) {
    Extent* const extent = extents_.find(orphan->second);
    assert(extent != nullptr);
    ++scanned;
    // It stays charged to its user, so that nobody pays for blocks of others.
    if (extent->info.uid != (*record)->peer.uid || extent->granules() != cut.span_granules)
      continue;
    scanned += cut.block_count;
    if (count_free_blocks(*extent, cut) < cut.block_count / kBlocksPerFreeOne + 1) continue;
    orphans_.erase(orphan);
    extent->info.session = session;
    (*record)->granted_bytes += bytes;
    ++(*record)->granted_spans;
    view_.session(session).granted_bytes.store_relaxed((*record)->granted_bytes);
    view_.session(session).granted_spans.store_relaxed((*record)->granted_spans);
    write_descriptors(*extent, region::SpanState::kGranted);
    return std::optional(protocol::Adopted{extent->first(), high_water_});
  }
  return std::optional<protocol::Adopted>();
}

std::uint32_t RegionCore::count_free_blocks(const Extent& extent, const SizeClass& cut) const {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < std::min(cut.block_count, extent.info.word_count); ++i) {
    // Relaxed: nothing is done to the blocks here.
    const std::uint32_t owner = OwnWord::owner(view_.word(extent.first(), i).load_relaxed());
    if (owner == OwnWord::kFree || owner == OwnWord::kFreed) ++count;
  }
  return count;
}

void RegionCore::note_freed(std::uint64_t first, std::uint64_t now_ns) {
  if (first >= view_.granules()) return;
  Extent* const extent = extents_.find(static_cast<std::uint32_t>(first));
  if (extent == nullptr || extent->info.granted_unix_ns == 0) return;
  if (extent->info.session == 0) {
    const std::uint32_t bin = extent->info.orphan_bin;
    if (!sweep_orphan(*extent, now_ns)) tell_of_orphan(bin);
    return;
  }
  if (region::CarveWord::is_one_block(view_.span_ledger(first).carve.load_acquire())) {
    freed_large_.try_emplace(extent->first(), now_ns);
    // Where one message comes from others may have been lost.
    large_left_to_look_at_ = true;
  }
}

// Those of which the message was lost: their own words say so.
void RegionCore::look_for_freed_large(std::uint64_t now_ns) {
  if (!large_left_to_look_at_) return;
  for (std::uint32_t looked = 0; looked < kExtentsPerSweep; ++looked) {
    Extent* const extent = extents_.at_or_after(next_large_);
    if (extent == nullptr) {
      next_large_ = 0;
      large_left_to_look_at_ = std::exchange(found_large_, false);
      return;
    }
    const std::uint32_t first = extent->first();
    next_large_ = extent->end();
    if (!extent->is_span() || extent->info.session == 0 || extent->info.granted_unix_ns == 0) {
      continue;
    }
    // Relaxed: take_large_block() looks again, in order.
    if (!region::CarveWord::is_one_block(view_.span_ledger(first).carve.load_relaxed()) ||
        OwnWord::owner(view_.word(first, 0).load_relaxed()) != OwnWord::kFreed) {
      continue;
    }
    if (freed_large_.contains(first)) continue;
    found_large_ = unheard_large_.emplace(first, now_ns).second || found_large_;
  }
}

bool RegionCore::sweep_orphan(Extent& extent, std::uint64_t now_ns) {
  // A7 pairs with R7 in the client's free_elsewhere(): a block freed from here on sets it again.
  (void)view_.span_ledger(extent.first()).hint.exchange_acquire(0);
  if (holds_live_block(extent)) return false;
  free_span(extent, now_ns);
  return true;
}

bool RegionCore::sweep_wanted() const noexcept {
  return !orphans_.empty() || !freed_large_.empty() || !unheard_large_.empty() ||
         large_left_to_look_at_;
}

void RegionCore::sweep(std::uint64_t now_ns) {
  // A slice, from where the last one ended.
  auto orphan = orphans_.lower_bound(next_orphan_);
  for (std::uint64_t scanned = 0; scanned < kWordsPerSweep && orphan != orphans_.end();) {
    Extent* const extent = extents_.find((*orphan++).second);  // free_span() erases the entry
    assert(extent != nullptr);
    scanned += extent->info.word_count;
    (void)sweep_orphan(*extent, now_ns);
  }
  next_orphan_ = orphan == orphans_.end() ? OrphanKey{} : *orphan;
  look_for_freed_large(now_ns);
  take_large_blocks(freed_large_, now_ns);
  take_large_blocks(unheard_large_, now_ns);
}

void RegionCore::take_large_blocks(std::map<std::uint32_t, std::uint64_t>& noticed,
                                   std::uint64_t now_ns) {
  const std::uint64_t delay_ns = limits_.large_reclaim_delay_ms * 1'000'000;
  for (auto it = noticed.begin(); it != noticed.end();) {
    if (now_ns < it->second + delay_ns) {
      ++it;
      continue;
    }
    Extent* const extent = extents_.find(it->first);
    it = noticed.erase(it);
    assert(extent != nullptr);
    take_large_block(*extent);
  }
}

void RegionCore::take_large_block(const Extent& extent) {
  auto& own = view_.word(extent.first(), 0);
  std::uint32_t word = own.load_acquire();
  if (OwnWord::owner(word) != OwnWord::kFreed) return;  // its session was quicker
  // It may even have cut the span anew: then this word is a small block's.
  if (!region::CarveWord::is_one_block(view_.span_ledger(extent.first()).carve.load_acquire())) {
    return;
  }
  const std::uint32_t taken = OwnWord::make(OwnWord::kTaken, OwnWord::generation(word));
  // R4 pairs with A4 in the session's collect_large_locked(): exactly one of the two moves the
  // word.
  if (own.compare_exchange_acq_rel(word, taken)) taken_[extent.first()] = 0;
}

}  // namespace allot::core
