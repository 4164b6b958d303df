#include "client/session_state.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "client/process.hpp"
#include "client/timed_lock.hpp"

namespace allot::detail {

namespace p = protocol;
using region::kGranuleBytes;

namespace {

// A request for spans grows with demand up to this much, so that messages stay rare.
constexpr std::uint32_t kMaxBatchGranules = 256;
// Own words that any one-granule span is granted with, so that spare spans serve many classes.
constexpr std::uint32_t kUsualWords = region::kDefaultWords;

std::uint32_t words_of(const region::SizeClass& size_class) noexcept {
  const std::uint32_t units =
      (size_class.block_count + region::kWordsPerUnit - 1) / region::kWordsPerUnit;
  return std::max(units * region::kWordsPerUnit, kUsualWords);
}

}  // namespace

SessionState::SessionState(Parts parts) noexcept
    : parts_(std::move(parts)), id_(parts_.welcome.session) {}

Expected<std::shared_ptr<SessionState>> SessionState::open(Parts parts) {
  std::shared_ptr<SessionState> state(new SessionState(std::move(parts)));
  auto slot = process::add_session(state.get());
  if (!slot) return slot.error();
  state->slot_ = *slot;
  if (auto mapped = state->map_region(); !mapped) return mapped.error();
  const Lock lock(state->mutex_);
  CallDeadline deadline(state->parts_.deadline);
  auto heap = state->attach_heap_locked(deadline);
  if (!heap) return heap.error();
  state->session_heap_ = *heap;
  return state;
}

Expected<void> SessionState::map_region() {
  const Lock lock(mutex_);
  if (auto mapped = presence_.map(parts_.presence); !mapped) return mapped.error();
  const std::uint64_t granules = parts_.welcome.granules;
  if (auto checked = parts_.files.check(granules); !checked) return checked.error();
  // Before the windows, which take less where address space is short.
  void* const cells = ::mmap(nullptr, granules * sizeof(SpanCell), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (cells == MAP_FAILED) return Error(Errc::kAddressSpace, "table of spans");
  cells_ = static_cast<SpanCell*>(cells);
  auto mapping =
      region::RegionMapping::map(parts_.files, granules, region::RegionMapping::Role::kClient);
  if (!mapping) return mapping.error();
  mapping_ = std::move(*mapping);
  view_ = mapping_.view();
  const region::DirectoryHeader& header = view_.header();
  if (header.magic != region::kMagic || header.fingerprint != region::fingerprint() ||
      header.granules != granules) {
    return Error(Errc::kUntrustedRegion, "the directory's header is not of this layout");
  }
  return open_window_locked(header.high_water_granules.load_acquire());
}

SessionState::~SessionState() {
  close();
  const bool has_slot = slot_ < kMaxSessionsPerProcess;
  if (has_slot && life_.load_relaxed() != static_cast<std::uint32_t>(Life::kForked)) {
    process::remove_session(slot_);
  }
}

void SessionState::close() noexcept {
  {
    const Lock lock(mutex_);
    if (life_.load_relaxed() != static_cast<std::uint32_t>(Life::kOpen)) return;
    life_.store_release(static_cast<std::uint32_t>(Life::kClosed));
  }
  // First, and without the mutex: a callback that runs may use the session until it returns.
  if (parts_.exit_watch) parts_.exit_watch->stop();
  Lock lock(mutex_);
  // No answer is needed: without it our counters only count as those of a killed session.
  CallDeadline deadline(parts_.deadline);
  if (session_heap_ != nullptr) (void)request_locked(p::Bye{}, deadline);
  auto heaps = std::exchange(heaps_, {});
  ThreadHeap* const session_heap = std::exchange(session_heap_, nullptr);
  spares_.clear();
  large_.clear();
  large_cache_.clear();
  lock.unlock();
  process::detach_heaps(heaps);
  // A thread that ended until now parked its heap here; from now on it keeps a detached one.
  for (ThreadHeap* const heap : take_parked()) process::recycle_heap(heap);
  if (session_heap != nullptr) process::recycle_heap(session_heap);
  if (cells_ != nullptr) ::munmap(cells_, parts_.welcome.granules * sizeof(SpanCell));
  cells_ = nullptr;
  mapping_ = region::RegionMapping();
  parts_.files = region::RegionFiles();
  parts_.channel.reset();
  // Last: from here on the daemon may recover what was ours.
  presence_.unmap();
}

void SessionState::become_forked() noexcept {
  if (life_.load_relaxed() != static_cast<std::uint32_t>(Life::kOpen)) return;
  life_.store_release(static_cast<std::uint32_t>(Life::kForked));
  // The windows are not mapped here: forget them without unmapping what may lie there now.
  (void)new region::RegionMapping(std::move(mapping_));
  presence_.forget();
  parts_.channel->abandon();
  if (parts_.exit_watch) {
    parts_.exit_watch->abandon();
    (void)parts_.exit_watch.release();
  }
  parts_.files = region::RegionFiles();
  parts_.presence.reset();
}

Expected<SessionState::Lock> SessionState::lock_open(CallDeadline& deadline) {
  Lock lock = lock_before(mutex_, deadline);
  if (!lock.owns_lock()) return Error(Errc::kDeadline, "other threads wait for the daemon");
  if (const Errc life = life_error(); life != Errc::kOk) return Error(life);
  return lock;
}

Expected<p::Body> SessionState::request(const p::Body& body, CallDeadline& deadline) {
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  book_late_answers_locked();
  return request_locked(body, deadline);
}

// What a request brought after its caller had given up: spans and heaps are kept, pins are let go.
void SessionState::book_late_answers_locked() {
  for (const p::Body& late : parts_.channel->take_late_answers()) {
    if (const auto* granted = std::get_if<p::Granted>(&late); granted != nullptr) {
      if (open_window_locked(granted->high_water_granules)) store_spares_locked(*granted);
    } else if (const auto* attached = std::get_if<p::HeapAttached>(&late); attached != nullptr) {
      if (attached->heap >= region::kHeapLimit) continue;
      late_heaps_.push_back(static_cast<std::uint32_t>(attached->heap));
    } else if (const auto* found = std::get_if<p::Found>(&late); found != nullptr) {
      const Handle handle = Handle::from_bits(found->handle);
      const auto pin = pins_.find(handle);
      // The daemon counts one pin a session: another find's is the same.
      if (pin == pins_.end() || pin->second.ended) late_pins_.push_back(handle);
    }
  }
  while (!late_pins_.empty() && parts_.channel->post(p::Unpin{late_pins_.back().bits()})) {
    late_pins_.pop_back();
  }
}

Errc SessionState::life_error() const noexcept {
  switch (static_cast<Life>(life_.load_acquire())) {
    case Life::kOpen: return Errc::kOk;
    case Life::kClosed: return Errc::kClosed;
    case Life::kForked: return Errc::kForked;
  }
  return Errc::kClosed;
}

SessionId SessionState::id() const noexcept {
  return SessionId{id_, 0, parts_.welcome.incarnation};
}

// --- heaps ---

ThreadHeap* SessionState::this_threads_heap() noexcept {
  FastHeap* const heap = tls_heaps.at(slot_);
  return heap->session == this ? static_cast<ThreadHeap*>(heap) : nullptr;
}

Expected<std::uint32_t> SessionState::take_heap_id_locked(CallDeadline& deadline) {
  if (!late_heaps_.empty()) {
    const std::uint32_t id = late_heaps_.back();
    late_heaps_.pop_back();
    return id;
  }
  auto answer = request_locked(p::AttachHeap{}, deadline);
  if (!answer) return answer.error();
  const auto* const attached = std::get_if<p::HeapAttached>(&*answer);
  if (attached == nullptr || attached->heap >= region::kHeapLimit) return Error(Errc::kBadMessage);
  return static_cast<std::uint32_t>(attached->heap);
}

Expected<ThreadHeap*> SessionState::attach_heap_locked(CallDeadline& deadline) {
  ThreadHeap* const heap = process::obtain_heap();
  if (heap == nullptr) return Error(Errc::kAddressSpace, "a thread's heap");
  auto heap_id = take_heap_id_locked(deadline);
  if (!heap_id) {
    process::recycle_heap(heap);
    return heap_id.error();
  }
  if (auto opened = mapping_.extend_heaps(parts_.files, *heap_id + 1); !opened) {
    late_heaps_.push_back(*heap_id);
    process::recycle_heap(heap);
    return opened.error();
  }
  heap->attach({this, &view_, id_, *heap_id, mapping_.data(), cells_});
  heaps_.push_back(heap);
  return heap;
}

Expected<ThreadHeap*> SessionState::heap_for_this_thread(CallDeadline& deadline) {
  if (ThreadHeap* const heap = this_threads_heap(); heap != nullptr) return heap;
  // Destructors that run after this thread's heaps were parked do without one.
  if (process::thread_is_ending()) return nullptr;
  ThreadHeap* heap = unpark();
  if (heap == nullptr) {
    auto lock = lock_open(deadline);
    if (!lock) return lock.error();
    book_late_answers_locked();
    auto attached = attach_heap_locked(deadline);
    heap_refused_.store_relaxed(attached ? 0 : 1);
    if (!attached) return attached.error();
    heap = *attached;
  }
  process::set_thread_heap(slot_, heap);
  return heap;
}

void SessionState::park(ThreadHeap* heap) noexcept {
  const std::lock_guard parking(parked_mutex_);
  parked_.push_back(heap);
}

ThreadHeap* SessionState::unpark() noexcept {
  const std::lock_guard parking(parked_mutex_);
  if (parked_.empty()) return nullptr;
  ThreadHeap* const heap = parked_.back();
  parked_.pop_back();
  return heap;
}

std::vector<ThreadHeap*> SessionState::take_parked() noexcept {
  const std::lock_guard parking(parked_mutex_);
  return std::exchange(parked_, {});
}

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
    return bin < region::kClassCount ? allocate_from_bin(bin, deadline)
                                     : allocate_large(size_bytes, alignment, deadline);
  }();
  if (allocated) return *allocated;
  set_last_error(allocated.error());
  return nullptr;
}

Expected<void*> SessionState::allocate_from_bin(std::uint32_t bin, CallDeadline& deadline) {
  auto heap = heap_for_this_thread(deadline);
  if (!heap) return heap.error();
  if (*heap == nullptr) return Error(Errc::kClosed, "the thread is ending");
  for (;;) {
    void* block = nullptr;
    if (try_pop(**heap, bin, block)) return block;
    // Empty, or damaged at the top by somebody who writes where he should not.
    if ((*heap)->drop_damaged(bin) > 0) continue;
    if ((*heap)->collect(bin)) continue;
    const region::SizeClass& size_class = region::kSizeClasses[bin];
    auto lock = lock_open(deadline);
    if (!lock) return lock.error();
    auto first = take_span_locked(size_class.span_granules, words_of(size_class), deadline);
    if (!first) return first.error();
    (*heap)->carve(bin, *first, window_granules_.load_relaxed() * kGranuleBytes);
  }
}

// --- spans ---

Expected<std::uint32_t> SessionState::take_span_locked(std::uint32_t granules, std::uint32_t words,
                                                       CallDeadline& deadline) {
  const SpareKind kind{granules, words};
  book_late_answers_locked();
  if (spares_[kind].empty()) {
    // Each request asks for twice as much as the last, up to a limit; if that is refused, for one.
    std::uint32_t& batch = next_batch_[kind];
    const std::uint32_t most = std::max(kMaxBatchGranules / granules, 1U);
    batch = std::clamp(batch * 2, 1U, most);
    auto granted = grant_locked({granules, batch, words, 1}, deadline);
    if (!granted && batch > 1 && granted.error() != Errc::kDeadline &&
        granted.error() != Errc::kDaemonGone) {
      batch = 1;
      granted = grant_locked({granules, 1, words, 1}, deadline);
    }
    if (!granted) return granted.error();
    store_spares_locked(*granted);
  }
  const std::uint32_t first = spares_[kind].back();
  spares_[kind].pop_back();
  return first;
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

void SessionState::store_spares_locked(const p::Granted& granted) {
  auto& spares = spares_[{granted.granules, static_cast<std::uint32_t>(granted.words)}];
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

SessionState::Return SessionState::return_span_locked(std::uint32_t first, CallDeadline& deadline) {
  const auto answer = request_locked(p::ReturnSpan{first}, deadline);
  if (answer) return Return::kDone;
  switch (parts_.channel->latest_outcome()) {
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
  ThreadHeap* const mine = this_threads_heap();
  std::vector<std::uint32_t> free_spans;
  if (mine != nullptr) mine->release_free_spans(free_spans);
  {
    const std::lock_guard parking(parked_mutex_);
    for (ThreadHeap* const heap : parked_) heap->release_free_spans(free_spans);
  }
  for (auto& [kind, list] : spares_) {
    free_spans.insert(free_spans.end(), list.begin(), list.end());
    list.clear();
  }
  std::size_t given_back = 0;
  Return returned = Return::kDone;
  while (!free_spans.empty() && answered(returned)) {
    const std::uint32_t first = free_spans.back();
    const auto span = view_.find_span(first, window_granules_.load_relaxed());
    returned = return_span_locked(first, deadline);
    if (returned == Return::kDone && span) given_back += span->head.granules * kGranuleBytes;
    if (returned != Return::kNotSent) free_spans.pop_back();
  }
  for (const std::uint32_t first : free_spans) keep_span_locked(first);
  next_batch_.clear();
  if (!answered(returned) || !collect_large_locked(deadline)) return given_back;
  return given_back + return_cached_large_locked(deadline);
}

Expected<void> SessionState::on_exit(const SessionId& other, std::function<void()> callback) {
  if (const Errc life = life_error(); life != Errc::kOk) return Error(life);
  if (!parts_.exit_watch) return Error(Errc::kNoDaemon, "an embedded region has no other process");
  CallDeadline deadline(parts_.deadline);
  return parts_.exit_watch->watch(other, std::move(callback), deadline);
}

}  // namespace allot::detail
