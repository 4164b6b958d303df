// Where blocks of classes come from: spans that are granted, kept in reserve, carved, given back.
//
// All under the session's mutex but the heaps' own stacks. A process that dies at any line leaves
// spans that the directory names as its own, and the daemon recovers them.

#include <algorithm>
#include <bit>
#include <utility>

#include "client/session_state.hpp"
#include "shared/platform/populate.hpp"

namespace allot::detail {

namespace p = protocol;
using region::kGranuleBytes;

namespace {

// A request for spans grows with what the session has, so that messages stay rare and little is
// granted in vain: up to a quarter until it is so much, then an eighth, and at most so much.
constexpr std::uint64_t kLeastBatchGranules = 4;  // from the third request on
constexpr std::uint64_t kUsualBatchGranules = 16;
constexpr std::uint64_t kMaxBatchGranules = 1024;
constexpr std::uint64_t kBatchDivisor = 8;
// A session that was served for so long by what it had asked for once grows slowly.
constexpr std::chrono::milliseconds kSlowGrowth{100};
// Far fewer than the daemon's socket holds answers.
constexpr std::size_t kMaxUnansweredPosts = 64;
constexpr std::uint64_t kSlowBatchGranules = 8;
constexpr std::uint64_t kMaxWordsPerBatch = std::uint64_t{1} << 20;  // the daemon's limit
// Own words that any one-granule span is granted with, so that spare spans serve many classes.
constexpr std::uint32_t kUsualWords = region::kDefaultWords;

std::uint32_t words_of(const region::SizeClass& size_class) noexcept {
  const std::uint32_t units =
      (size_class.block_count + region::kWordsPerUnit - 1) / region::kWordsPerUnit;
  return std::max(units * region::kWordsPerUnit, kUsualWords);
}

// Refused, but a smaller request may be granted.
bool is_for_room(const Error& error) noexcept {
  switch (error.errc()) {
    case Errc::kSessionQuota:
    case Errc::kUidQuota:
    case Errc::kCommitLimit:
    case Errc::kMachineFull:
    case Errc::kRegionFull: return true;
    default: return false;
  }
}

}  // namespace

// --- blocks of classes ---

void* SessionState::allocate(std::size_t size_bytes, std::size_t alignment) noexcept {
  CallDeadline deadline(parts_.deadline);
  auto allocated = [&]() -> Expected<void*> {
    if (const Errc life = life_error(); life != Errc::kOk) return Error(life);
    if (size_bytes == 0) return Error(Errc::kSizeZero);
    if (!std::has_single_bit(alignment) || alignment > kMaxAlignmentBytes) {
      return Error(Errc::kBadAlignment, std::to_string(alignment) +
                                            " is not a power of two up to " +
                                            std::to_string(kMaxAlignmentBytes));
    }
    if (size_bytes > parts_.welcome.session_quota_bytes) {
      return Error(Errc::kSizeTooLarge, std::to_string(size_bytes) +
                                            " bytes wanted, the session's quota is " +
                                            std::to_string(parts_.welcome.session_quota_bytes));
    }
    std::uint32_t bin = region::bin_of(size_bytes);
    while (bin < region::kClassCount &&
           region::natural_alignment(region::kSizeClasses[bin]) < alignment) {
      ++bin;
    }
    if (bin == region::kClassCount) return allocate_large(size_bytes, alignment, deadline);
    auto block = allocate_from_bin(bin, deadline);
    // A span for many such blocks is much longer than one for one.
    if (!block && size_bytes > kGranuleBytes / 2 &&
        (is_for_room(block.error()) || block.error() == Errc::kSizeTooLarge)) {
      auto single = allocate_large(size_bytes, alignment, deadline);
      if (single) return single;
    }
    return block;
  }();
  if (allocated && debug_ != nullptr) debug_allocated(*allocated);
  if (allocated) return *allocated;
  set_last_error(allocated.error());
  return nullptr;
}

Expected<void*> SessionState::allocate_from_bin(std::uint32_t bin, CallDeadline& deadline) {
  auto heap = heap_for_this_thread(deadline);
  if (!heap) return heap.error();
  if (*heap != nullptr) return allocate_from(**heap, bin, deadline);
  // A destructor that runs after this thread's heaps were parked.
  if (!is_private()) return Error(Errc::kClosed, "the thread is ending");
  // As with malloc, it is served all the same: by a heap that is borrowed for this call.
  auto borrowed = unpark_or_attach(deadline);
  if (!borrowed) return borrowed.error();
  auto block = allocate_from(**borrowed, bin, deadline);
  park(*borrowed);
  return block;
}

Expected<void*> SessionState::allocate_from(ThreadHeap& heap, std::uint32_t bin,
                                            CallDeadline& deadline) {
  if (!heap.is_open(bin)) {
    auto lock = lock_open(deadline);
    if (!lock) return lock.error();
    if (!heap.open_pool(bin, pools_[bin - region::kFirstPoolBin])) {
      return Error(Errc::kAddressSpace, "a pool's stack");
    }
  }
  for (;;) {
    void* block = nullptr;
    if (try_pop(heap, bin, block)) return block;
    // Empty, or damaged at the top by somebody who writes where he should not.
    if (drop_damaged(heap, bin)) continue;
    give_back_free(heap, bin);
    if (heap.collect(bin)) continue;
    const region::SizeClass& size_class = heap.cut_of(bin);
    const SpareKind kind{size_class.span_granules, words_of(size_class)};
    if (adopt_orphan(heap, bin, kind, deadline)) continue;
    auto first = take_span(heap, kind, deadline);
    if (!first) return first.error();
    heap.carve(bin, *first, window_granules_.load_relaxed() * kGranuleBytes);
    if (!heap.is_growing(bin)) continue;
    // In one call instead of a fault a page.
    platform::populate(mapping_.data() + *first * kGranuleBytes,
                       size_class.span_granules * kGranuleBytes);
  }
}

// --- spans ---

Expected<std::uint32_t> SessionState::take_span(ThreadHeap& heap, const SpareKind& kind,
                                                CallDeadline& deadline) {
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  book_late_answers_locked();
  // Not where it is the daemon that is slow.
  const bool is_slow =
      ahead_.request == 0 && std::chrono::steady_clock::now() - requested_at_ > kSlowGrowth;
  if (is_slow) {
    std::vector<std::uint32_t> idle;
    take_spares_locked(kSlowBatchGranules, idle);
    post_returns_locked(idle);
  }
  if (spares_[kind].empty() && ahead_.request != 0 && ahead_.kind == kind) {
    await_growth_locked(deadline);
    // Another request would be one more that is granted to nobody.
    if (spares_[kind].empty() && ahead_.request != 0 && parts_.channel->is_connected()) {
      return Error(Errc::kDeadline);
    }
  }
  if (spares_[kind].empty()) {
    if (auto obtained = obtain_spares_locked(kind, deadline); !obtained) return obtained.error();
  }
  const std::uint32_t first = spares_[kind].back();
  spares_[kind].pop_back();
  // Relaxed: whoever looks for lost spans has the mutex.
  heap.arriving.store_relaxed(first);
  relieve_pressure_locked(deadline);
  ask_ahead_locked(kind, is_slow);
  return first;
}

Expected<void> SessionState::obtain_spares_locked(const SpareKind& kind, CallDeadline& deadline) {
  const auto [granules, words] = kind;
  const std::uint32_t batch = next_batch(kind);
  requested_at_ = std::chrono::steady_clock::now();
  auto granted = batch > 1 ? grant_locked({granules, batch, words, 1}, deadline)
                           : grant_or_trim_locked({granules, 1, words, 1}, deadline);
  if (!granted && batch > 1 && granted.error() != Errc::kDeadline &&
      granted.error() != Errc::kDaemonGone) {
    obtained_.erase(kind);
    granted = grant_or_trim_locked({granules, 1, words, 1}, deadline);
  }
  if (!granted) return granted.error();
  ahead_.is_refused = false;
  store_spares_locked(*granted);
  return {};
}

// Of each kind all but so much, and those that would be taken last.
void SessionState::take_spares_locked(std::size_t kept_granules, std::vector<std::uint32_t>& out) {
  for (auto& [kind, spares] : spares_) {
    const std::size_t kept = (kept_granules + kind.granules - 1) / kind.granules;
    if (spares.size() <= kept) continue;
    const auto end = spares.end() - static_cast<std::ptrdiff_t>(kept);
    out.insert(out.end(), spares.begin(), end);
    spares.erase(spares.begin(), end);
  }
}

// Of small sessions up to a quarter of what they have.
std::uint32_t SessionState::next_batch(const SpareKind& kind) {
  const std::uint64_t has = obtained_[kind] * kind.granules;
  const std::uint64_t least =
      std::clamp(has / 4, std::min(has + 1, kLeastBatchGranules), kUsualBatchGranules);
  const std::uint64_t wanted = std::clamp(has / kBatchDivisor, least, kMaxBatchGranules);
  const std::uint64_t most_spans = kMaxWordsPerBatch / kind.words;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(wanted / kind.granules, 1, most_spans));
}

// Where a session grows, the next spans are asked for while half of the latest are left, so that
// nobody waits for them.
void SessionState::ask_ahead_locked(const SpareKind& kind, bool is_slow) {
  std::uint32_t batch = next_batch(kind);
  if (ahead_.request != 0 || ahead_.is_refused ||
      std::uint64_t{batch} * kind.granules < kUsualBatchGranules) {
    return;
  }
  if (is_slow) batch = std::max<std::uint32_t>(kSlowBatchGranules / kind.granules, 1);
  if (spares_[kind].size() > batch / 2) return;
  requested_at_ = std::chrono::steady_clock::now();
  ahead_ = {request_ahead_locked(p::GrantRequest{kind.granules, batch, kind.words, 1}), kind,
            false};
}

// For what was asked for ahead; the answers to other messages may come first.
void SessionState::await_growth_locked(CallDeadline& deadline) {
  while (ahead_.request != 0 && parts_.channel->is_connected() && !deadline.has_passed()) {
    book_late_answers_locked(deadline.at());
  }
}

Expected<p::Granted> SessionState::grant_locked(const p::GrantRequest& wanted,
                                                CallDeadline& deadline) {
  auto answer = request_locked(wanted, deadline);
  if (!answer) return answer.error();
  const auto* const granted = std::get_if<p::Granted>(&*answer);
  const std::uint64_t total = std::uint64_t{wanted.granules} * wanted.count;
  if (granted == nullptr || granted->granules != wanted.granules ||
      granted->count != wanted.count || granted->words != wanted.words ||
      granted->first > view_.granules() || total > view_.granules() - granted->first ||
      granted->first + total > granted->high_water_granules) {
    return Error(Errc::kBadMessage, "the daemon granted something else than was asked for");
  }
  if (auto opened = open_window_locked(granted->high_water_granules); !opened) {
    // What does not go back now goes back when the session ends.
    Return returned = Return::kDone;
    for (std::uint32_t i = 0; i < granted->count && answered(returned); ++i) {
      returned = return_span_locked(
          static_cast<std::uint32_t>(granted->first) + i * granted->granules, deadline);
    }
    return opened.error();
  }
  return *granted;
}

Expected<p::Granted> SessionState::grant_or_trim_locked(const p::GrantRequest& wanted,
                                                        CallDeadline& deadline) {
  auto granted = grant_locked(wanted, deadline);
  if (granted || !is_for_room(granted.error()) || trim_locked(deadline) == 0) return granted;
  return grant_locked(wanted, deadline);
}

void SessionState::store_spares_locked(const p::Granted& granted) {
  const SpareKind kind{granted.granules, static_cast<std::uint32_t>(granted.words)};
  obtained_[kind] += granted.count;
  auto& spares = spares_[kind];
  for (std::uint32_t i = granted.count; i-- > 0;) {
    spares.push_back(static_cast<std::uint32_t>(granted.first) + i * granted.granules);
  }
}

Expected<void> SessionState::open_window_locked(std::uint64_t granules) {
  if (granules > view_.granules()) return Error(Errc::kBadMessage, "window beyond the region");
  if (auto opened = mapping_.extend(parts_.files, granules); !opened) return opened.error();
  // R9 pairs with A9 in locate(): the mapping is open before its size is seen.
  window_granules_.store_release(mapping_.window_granules());
  return {};
}

SessionState::Return SessionState::return_span_locked(std::uint32_t first, CallDeadline& deadline,
                                                      std::uint32_t granules) {
  debug_forget_returned(first, granules);
  const auto answer = request_locked(p::ReturnSpan{first, granules}, deadline);
  if (answer) return Return::kDone;
  switch (latest_outcome_) {
    case Outcome::kNotSent: return Return::kNotSent;
    case Outcome::kAnswered: return Return::kRefused;
    case Outcome::kUnknown: break;
  }
  return Return::kUnknown;
}

// Back into the reserve, as if just granted.
void SessionState::keep_span_locked(std::uint32_t first) {
  const auto span = view_.find_span(first, window_granules_.load_relaxed());
  if (!span || span->first != first) return;
  auto& carve = view_.span_ledger(first).carve;
  // Relaxed: only we carve. Its blocks are free, so that nobody else's operation finds them.
  if (carve.load_relaxed() != region::CarveWord::kNone) {
    carve.store_relaxed(region::CarveWord::kNone);
    for (std::uint32_t i = 0; i < span->word_count; ++i) {
      // R5 pairs with A5 in the audit: who sees that the block is gone sees that the carving is.
      view_.word(first, i).store_release(OwnWord::make(OwnWord::kInvalid, 0));
    }
  }
  spares_[{span->head.granules, span->word_count}].push_back(first);
}

std::size_t SessionState::trim() noexcept {
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return 0;
  book_late_answers_locked();
  reconnect_if_lost_locked(deadline);
  obtained_.clear();
  return trim_locked(deadline);
}

std::size_t SessionState::trim_locked(CallDeadline& deadline) {
  // What was asked for ahead and comes after this would stay.
  await_growth_locked(deadline);
  ThreadHeap* const mine = this_threads_heap();
  std::vector<std::uint32_t> free_spans;
  seen_orphan_news_.fill(0);
  if (mine != nullptr) {
    take_over_all_late_locked(*mine);
    mine->release_free_spans(free_spans);
  }
  {
    const std::lock_guard parking(parked_mutex_);
    if (!parked_.empty()) take_over_all_late_locked(*parked_.front());
    for (ThreadHeap* const heap : parked_) heap->release_free_spans(free_spans);
  }
  take_spares_locked(0, free_spans);
  bool is_answered = true;
  const std::size_t given_back = return_spans_locked(free_spans, is_answered, deadline);
  if (!is_answered || !collect_large_locked(deadline)) return given_back;
  return given_back + return_cached_large_locked(deadline);
}

// Spans of classes that are in no list any more. Neighbours go back in one message. Those that the
// daemon does not take are kept; after one that is not answered so are all the others.
std::size_t SessionState::return_spans_locked(std::vector<std::uint32_t>& spans, bool& is_answered,
                                              CallDeadline& deadline) {
  std::sort(spans.begin(), spans.end());
  std::size_t given_back = 0;
  const std::uint64_t walks = walks_;
  for (auto next = spans.begin(); next != spans.end();) {
    const SpanRun run = run_of(next, spans.end());
    for (auto span = next; span != run.end; ++span) forget_obtained_locked(*span);
    const Return returned =
        is_answered ? return_span_locked(*next, deadline, run.granules) : Return::kNotSent;
    is_answered = is_answered && answered(returned);
    if (returned == Return::kDone) given_back += run.granules * kGranuleBytes;
    // The daemon died meanwhile: the others were in no list either, and are in one now.
    if (walks_ != walks) break;
    for (; next != run.end; ++next) {
      if (is_still_ours(returned)) keep_span_locked(*next);
    }
  }
  return given_back;
}

SessionState::SpanRun SessionState::run_of(SpanIterator begin, SpanIterator end) const {
  SpanRun run{begin, 0};
  std::uint64_t words = 0;
  while (run.end != end && *run.end == *begin + run.granules) {
    const auto span = view_.find_span(*run.end, window_granules_.load_relaxed());
    // The directory is not as it should be: the daemon says what it thinks of the first.
    if (!span || span->first != *run.end) break;
    words += span->word_count;
    if (run.end != begin && words > kMaxWordsPerBatch) break;
    run.granules += span->head.granules;
    ++run.end;
  }
  if (run.end == begin) ++run.end;
  return run;
}

// Once for each time that the daemon says so.
void SessionState::relieve_pressure_locked(CallDeadline& deadline) {
  // Relaxed: nothing is published by it.
  const std::uint64_t pressure = view_.header().pressure.load_relaxed();
  if (pressure == 0 || pressure == seen_pressure_) return;
  seen_pressure_ = pressure;
  obtained_.clear();
  (void)trim_locked(deadline);
}

// It counts no longer for how much is asked for at once.
void SessionState::forget_obtained_locked(std::uint32_t first) {
  const auto span = view_.find_span(first, window_granules_.load_relaxed());
  if (!span || span->first != first) return;
  std::uint64_t& obtained = obtained_[{span->head.granules, span->word_count}];
  if (obtained > 0) --obtained;
}

// What a heap has too much of in one bin, after many frees; not where somebody waits for the daemon,
// nor waiting for it: a free is no reason to. A later one tries again.
void SessionState::give_back_surplus(ThreadHeap& heap, std::uint32_t bin) noexcept {
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || life_error() != Errc::kOk) return;
  std::vector<std::uint32_t> surplus;
  heap.release_surplus(bin, surplus);
  post_returns_locked(surplus);
}

// The same of all that a heap has free, but for a span of the bin that it wants a block of, once for
// each round of trims.
void SessionState::give_back_free(ThreadHeap& heap, std::uint32_t wanted_bin) noexcept {
  // Relaxed: nothing is published by it.
  const std::uint64_t round = trim_round_.load_relaxed();
  if (heap.trim_round == round) return;
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || life_error() != Errc::kOk) return;
  heap.trim_round = round;
  std::vector<std::uint32_t> free_spans;
  heap.release_free_spans(free_spans, wanted_bin);
  post_returns_locked(free_spans);
}

// Waits neither for the mutex nor for the daemon: where either is not to be had, a later round tries
// again.
void SessionState::trim_in_background() noexcept {
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || life_error() != Errc::kOk) return;
  book_late_answers_locked();
  if (ahead_.request != 0 || parts_.channel->unanswered_posts() != 0) return;
  trim_round_.add_single_writer(1);
  obtained_.clear();
  std::vector<std::uint32_t> free_spans;
  {
    const std::lock_guard parking(parked_mutex_);
    for (ThreadHeap* const heap : parked_) heap->release_free_spans(free_spans);
  }
  take_spares_locked(0, free_spans);
  post_returns_locked(free_spans);
  post_cached_large_locked();
}

bool SessionState::may_post_locked() {
  if (parts_.channel->unanswered_posts() >= kMaxUnansweredPosts) book_late_answers_locked();
  return parts_.channel->unanswered_posts() < kMaxUnansweredPosts;
}

// Those for which there is no place in the queue stay in reserve.
void SessionState::post_returns_locked(std::vector<std::uint32_t>& spans) noexcept {
  std::sort(spans.begin(), spans.end());
  for (auto next = spans.begin(); next != spans.end();) {
    const SpanRun run = run_of(next, spans.end());
    debug_forget_returned(*next, run.granules);
    for (auto span = next; span != run.end; ++span) forget_obtained_locked(*span);
    const bool is_sent = may_post_locked() && post_locked(p::ReturnSpan{*next, run.granules});
    for (; next != run.end; ++next) {
      if (!is_sent) keep_span_locked(*next);
    }
  }
}

}  // namespace allot::detail
