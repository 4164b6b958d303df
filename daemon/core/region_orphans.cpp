// What stays after a death until its last block is free: orphans, which are swept, or adopted by a
// session that needs blocks of their size; and large blocks that others freed and nobody collects.

#include <cassert>
#include <string>
#include <utility>

#include "daemon/core/region_core.hpp"

namespace allot::core {

using detail::OwnWord;

namespace {

constexpr std::uint64_t kWordsPerSweep = 262'144;  // about 0.3 ms
constexpr std::uint32_t kExtentsPerSweep = 16'384;
// An orphan is worth its adoption while one in so many of its blocks is free.
constexpr std::uint32_t kBlocksPerFreeOne = 8;
// What a look at one costs besides its words, in words.
constexpr std::uint64_t kWordsPerLook = 256;

}  // namespace

// What the carve word says is the word of the dead: it is read again where that matters.
void RegionCore::add_orphan(Extent& extent) {
  write_descriptors(extent, region::SpanState::kOrphan);
  extent.info.orphan_bin = bin_of_span(extent);
  orphans_.insert({extent.info.orphan_bin, extent.first()});
  tell_of_orphan(extent);
}

std::uint32_t RegionCore::bin_of_span(const Extent& extent) const {
  const auto span = view_.find_span(extent.first(), high_water_);
  if (!span) return region::kLargeBin;
  const region::Carving carving = view_.carving_of(*span);
  const bool is_of_class =
      carving.kind == region::Carving::Kind::kBlocks && carving.bin < region::kClassCount;
  return is_of_class ? carving.bin : region::kLargeBin;
}

bool RegionCore::is_worth_adopting(const Extent& extent) const {
  const std::uint32_t bin = extent.info.orphan_bin;
  // A member may have changed the carve word since.
  if (bin >= region::kClassCount || bin_of_span(extent) != bin) return false;
  const region::SizeClass& cut = region::kSizeClasses.at(bin);
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < cut.block_count; ++i) {
    // Relaxed: nothing is done to the blocks here.
    const std::uint32_t owner = OwnWord::owner(view_.word(extent.first(), i).load_relaxed());
    if (owner == OwnWord::kFree || owner == OwnWord::kFreed) ++count;
  }
  return count > cut.block_count / kBlocksPerFreeOne;
}

void RegionCore::tell_of_orphan(const Extent& extent) {
  if (!is_worth_adopting(extent)) return;
  view_.header().orphan_news.at(extent.info.orphan_bin).add_single_writer(1);
}

Expected<std::optional<protocol::Adopted>> RegionCore::adopt_orphan(std::uint32_t session,
                                                                    std::uint64_t bin) {
  auto record = live_session(session);
  if (!record) return record.error();
  if (bin >= region::kClassCount) {
    return Error(Errc::kBadArgument, "there is no size class " + std::to_string(bin));
  }
  const auto wanted = static_cast<std::uint32_t>(bin);
  const std::uint64_t bytes = region::kSizeClasses.at(bin).span_granules * region::kGranuleBytes;
  // Others' blocks come with it and count for the quota, half of which stays for the session's own.
  const bool is_full = (*record)->granted_bytes + bytes > limits_.session_quota_bytes / 2;
  const auto begin = orphans_.lower_bound({wanted, 0});
  const auto end = orphans_.lower_bound({wanted + 1, 0});
  if (is_full || begin == end) return std::optional<protocol::Adopted>();

  // From where the latest search ended, round to there.
  std::uint32_t& next = next_adoption_.at(bin);
  auto orphan = orphans_.lower_bound({wanted, next});
  if (orphan == end) orphan = begin;
  const auto start = orphan;
  std::uint64_t scanned = 0;
  do {
    Extent* const extent = extents_.find(orphan->second);
    assert(extent != nullptr);
    next = extent->end();
    scanned += kWordsPerLook + extent->info.word_count;
    // It stays charged to its user.
    if (extent->info.uid == (*record)->peer.uid && is_worth_adopting(*extent)) {
      orphans_.erase(orphan);
      extent->info.session = session;
      (*record)->granted_bytes += bytes;
      ++(*record)->granted_spans;
      view_.session(session).granted_bytes.store_relaxed((*record)->granted_bytes);
      view_.session(session).granted_spans.store_relaxed((*record)->granted_spans);
      write_descriptors(*extent, region::SpanState::kGranted);
      return std::optional(protocol::Adopted{extent->first(), high_water_});
    }
    if (++orphan == end) orphan = begin;
  } while (orphan != start && scanned < kWordsPerSweep);
  return std::optional<protocol::Adopted>();
}

void RegionCore::note_freed(std::uint64_t first, std::uint64_t now_ns) {
  if (first >= view_.granules()) return;
  Extent* const extent = extents_.find(static_cast<std::uint32_t>(first));
  if (extent == nullptr || extent->info.granted_unix_ns == 0) return;
  if (extent->info.session == 0) {
    sweep_orphan(*extent, now_ns);
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

void RegionCore::sweep_orphan(Extent& extent, std::uint64_t now_ns) {
  // A7 pairs with R7 in the client's free_elsewhere(): a block freed from here on sets it again.
  const bool is_hinted = view_.span_ledger(extent.first()).hint.exchange_acquire(0) != 0;
  if (!holds_live_block(extent)) {
    free_span(extent, now_ns);
  } else if (is_hinted) {
    tell_of_orphan(extent);
  }
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
    sweep_orphan(*extent, now_ns);
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
