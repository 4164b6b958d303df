// Large blocks: whole spans, one block each, cached for reuse within a limit.
//
// All under the session's mutex but the own word's store. A large span is cached when its word is
// free; a word freed by another session is found by collect_large_locked(), unless the daemon took
// the block meanwhile: then the span goes back.

#include <algorithm>

#include "client/session_state.hpp"
#include "shared/platform/random.hpp"

namespace allot::detail {

using region::kGranuleBytes;
using region::kLargeBin;

namespace {

constexpr std::uint64_t kMaxCachedLargeBytes = std::uint64_t{64} << 20;
// A cached span serves a request if it is at most an eighth longer than wanted.
constexpr std::uint64_t kMaxWasteDivisor = 8;
constexpr std::uint32_t kNoSpan = ~std::uint32_t{0};

}  // namespace

Expected<void*> SessionState::allocate_large(std::uint64_t size_bytes, std::size_t alignment,
                                             CallDeadline& deadline) {
  const std::uint64_t granules = (size_bytes + kGranuleBytes - 1) / kGranuleBytes;
  const std::uint64_t align_granules = std::max<std::uint64_t>(alignment / kGranuleBytes, 1);
  if (granules > view_.granules()) return Error(Errc::kSizeTooLarge);
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  auto span =
      obtain_large_locked({static_cast<std::uint32_t>(granules),
                           static_cast<std::uint32_t>(align_granules), region::kWordsPerUnit},
                          deadline);
  if (!span) return span.error();
  const auto [first, generation] = *span;
  own_span_locked(first, generation);
  return static_cast<void*>(mapping_.data() + first * kGranuleBytes);
}

void SessionState::own_span_locked(std::uint32_t first, std::uint32_t generation,
                                   std::uint64_t carve) {
  // R5 pairs with A5 in recovery and audit: the block is ours from this store on.
  view_.word(first, 0).store_release(OwnWord::make(id_, generation));
  // R2 pairs with A2 in RegionView::carving_of(): the words before the carve word.
  view_.span_ledger(first).carve.store_release(carve);
  const std::lock_guard counting(counters_mutex_);
  session_heap_->bins[kLargeBin].counters->allocations.add_single_writer(1);
}

Expected<SessionState::LargeTaken> SessionState::obtain_large_locked(const LargeWanted& wanted,
                                                                     CallDeadline& deadline) {
  relieve_pressure_locked(deadline);
  std::uint32_t first = find_cached_large_locked(wanted);
  if (first == kNoSpan) {
    const bool answers = collect_large_locked(deadline);
    first = find_cached_large_locked(wanted);
    // A request now would be granted to nobody.
    if (first == kNoSpan && !answers && deadline.has_passed()) return Error(Errc::kDeadline);
  }
  if (first != kNoSpan) {
    return LargeTaken{first, OwnWord::generation(view_.word(first, 0).load_relaxed())};
  }
  auto span = take_large_span_locked(wanted, deadline);
  if (!span) return span.error();
  large_[*span] = LargeSpan{wanted.granules, false};
  return LargeTaken{*span, static_cast<std::uint32_t>(platform::random_u64())};
}

Expected<std::uint32_t> SessionState::take_large_span_locked(const LargeWanted& wanted,
                                                             CallDeadline& deadline) {
  book_late_answers_locked();
  auto& spares = spares_[{wanted.granules, wanted.words}];
  const auto fits = std::find_if(spares.begin(), spares.end(), [&](std::uint32_t first) {
    return first % wanted.align_granules == 0;
  });
  if (fits != spares.end()) {
    const std::uint32_t first = *fits;
    spares.erase(fits);
    return first;
  }
  const protocol::GrantRequest request{wanted.granules, 1, wanted.words, wanted.align_granules};
  auto granted =
      wanted.may_trim ? grant_or_trim_locked(request, deadline) : grant_locked(request, deadline);
  if (!granted) return granted.error();
  return static_cast<std::uint32_t>(granted->first);
}

std::uint32_t SessionState::find_cached_large_locked(const LargeWanted& wanted) {
  const std::uint64_t most = wanted.granules + wanted.granules / kMaxWasteDivisor;
  for (auto next = large_cache_.lower_bound(wanted.granules);
       next != large_cache_.end() && next->first <= most;) {
    const auto it = next++;
    const std::uint32_t first = it->second;
    const std::uint32_t word = view_.word(first, 0).load_relaxed();
    if (word != OwnWord::make(OwnWord::kFree, word)) {
      uncache_large_locked(it);  // damaged, and never handed out
      continue;
    }
    if (first % wanted.align_granules != 0) continue;
    // Every span has one unit of words at least: the directory need not be read for that.
    if (wanted.words > region::kWordsPerUnit) {
      const auto span = view_.find_span(first, window_granules_.load_relaxed());
      if (!span || span->word_count < wanted.words) continue;
    }
    uncache_large_locked(it);
    return first;
  }
  return kNoSpan;
}

bool SessionState::collect_large_locked(CallDeadline& deadline) {
  std::vector<std::uint32_t> taken;
  for (auto& [first, span] : large_) {
    if (span.cached) continue;
    auto& own = view_.word(first, 0);
    std::uint32_t word = own.load_acquire();
    // With a flag it is damaged, and stays where it is.
    if (word != OwnWord::make(OwnWord::owner(word), word)) continue;
    if (OwnWord::owner(word) == OwnWord::kTaken) taken.push_back(first);
    // Freed by us, while the mutex was not to be had.
    if (OwnWord::owner(word) == OwnWord::kFree) cache_large_locked(first);
    if (OwnWord::owner(word) != OwnWord::kFreed) continue;
    // A4 pairs with R4 in the daemon's take_large_block(): exactly one of us moves the word.
    if (own.compare_exchange_acq_rel(word, OwnWord::make(OwnWord::kFree, word))) {
      cache_large_locked(first);
    } else {
      taken.push_back(first);
    }
  }
  return std::all_of(taken.begin(), taken.end(), [&](std::uint32_t first) {
    return answered(return_large_locked(first, deadline));
  });
}

void SessionState::uncache_large_locked(LargeCache::iterator entry) {
  large_[entry->second].cached = false;
  large_cache_bytes_ -= entry->first * kGranuleBytes;
  large_cache_.erase(entry);
}

void SessionState::cache_large_locked(std::uint32_t first) {
  LargeSpan& span = large_.at(first);
  span.cached = true;
  large_cache_.emplace(span.granules, first);
  large_cache_bytes_ += span.granules * kGranuleBytes;
}

// The span, not in the cache, leaves large_ before the message leaves: the daemon may grant it to
// another session though we never hear of it.
SessionState::Return SessionState::return_large_locked(std::uint32_t first,
                                                       CallDeadline& deadline) {
  const auto span = large_.extract(first);
  const Return returned = return_span_locked(first, deadline);
  if (is_still_ours(returned)) large_[first] = span.mapped();
  return returned;
}

std::size_t SessionState::return_cached_large_locked(CallDeadline& deadline) {
  std::size_t given_back = 0;
  std::vector<std::uint32_t> kept;
  Return returned = Return::kDone;
  while (!large_cache_.empty() && answered(returned)) {
    const auto [granules, first] = *large_cache_.begin();
    uncache_large_locked(large_cache_.begin());
    returned = return_large_locked(first, deadline);
    if (returned == Return::kDone) given_back += granules * kGranuleBytes;
    if (is_still_ours(returned)) kept.push_back(first);
  }
  for (const std::uint32_t first : kept) cache_large_locked(first);
  return given_back;
}

void SessionState::post_cached_large_locked() noexcept {
  while (!large_cache_.empty() && may_post_locked()) {
    const std::uint32_t first = large_cache_.begin()->second;
    uncache_large_locked(large_cache_.begin());
    auto span = large_.extract(first);
    debug_forget_returned(first, 0);
    if (post_locked(protocol::ReturnSpan{first, 0})) continue;
    large_.insert(std::move(span));
    return cache_large_locked(first);
  }
}

void SessionState::keep_freed_large(std::uint32_t first, CallDeadline& deadline) {
  // Not in time: collect_large_locked() finds the word free.
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  const auto found = large_.find(first);
  if (found == large_.end() || found->second.cached) return;
  // Another thread was quicker, and has used it again.
  if (OwnWord::owner(view_.word(first, 0).load_acquire()) != OwnWord::kFree) return;
  const std::uint64_t bytes = found->second.granules * kGranuleBytes;
  if (large_cache_bytes_ + bytes > kMaxCachedLargeBytes &&
      !is_still_ours(return_large_locked(first, deadline))) {
    return;
  }
  cache_large_locked(first);
}

}  // namespace allot::detail
