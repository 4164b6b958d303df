#include "client/session_state.hpp"

#include <sys/mman.h>

#include <utility>

#include "client/debug_state.hpp"
#include "client/heap_table.hpp"
#include "client/process.hpp"
#include "client/timed_lock.hpp"

namespace allot::detail {

namespace p = protocol;

SessionState::SessionState(Parts parts) noexcept
    : parts_(std::move(parts)),
      debug_(DebugState::make(parts_.debug)),
      id_(parts_.welcome.session),
      mapping_(is_private() ? *parts_.private_mapping : own_mapping_) {}

Expected<std::shared_ptr<SessionState>> SessionState::open(Parts parts) {
  std::shared_ptr<SessionState> state(new SessionState(std::move(parts)));
  if (!state->is_private()) {
    auto slot = process::add_session(state.get());
    if (!slot) return slot.error();
    state->slot_ = *slot;
  }
  if (auto mapped = state->map_region(); !mapped) return mapped.error();
  const Lock lock(state->mutex_);
  CallDeadline deadline(state->parts_.deadline);
  auto heap = state->attach_heap_locked(deadline);
  if (!heap) return heap.error();
  state->session_heap_ = *heap;
  if (const auto period = state->parts_.trim_every; period.count() > 0) {
    auto trim = BackgroundTrim::start(period, [self = state.get()] { self->trim_in_background(); });
    if (!trim) return trim.error();
    state->background_trim_ = std::move(*trim);
  }
  return state;
}

std::shared_ptr<SessionState> SessionState::make_closed() {
  std::shared_ptr<SessionState> state(new SessionState(Parts{}));
  state->life_.store_relaxed(static_cast<std::uint32_t>(Life::kClosed));
  return state;
}

Expected<void> SessionState::map_region() {
  const Lock lock(mutex_);
  const std::uint64_t granules = parts_.welcome.granules;
  if (!is_private()) {
    if (auto mapped = presence_.map(parts_.presence); !mapped) return mapped.error();
    if (auto checked = parts_.files.check(granules); !checked) return checked.error();
  }
  // Before the windows, which take less where address space is short.
  void* const cells = ::mmap(nullptr, granules * sizeof(SpanCell), PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (cells == MAP_FAILED) return Error(Errc::kAddressSpace, "table of spans");
  cells_ = static_cast<SpanCell*>(cells);
  if (!is_private()) {
    auto mapping =
        region::RegionMapping::map(parts_.files, granules, region::RegionMapping::Role::kClient);
    if (!mapping) return mapping.error();
    mapping_ = std::move(*mapping);
  }
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
  if (slot_ < kMaxSessionsPerProcess) process::remove_session(slot_);
}

bool SessionState::is_connected(CallDeadline& deadline) noexcept {
  const Lock lock(mutex_, std::try_to_lock);
  // Whoever holds it may wait for an answer, which is a matter of his own deadline.
  if (!lock.owns_lock()) return life_error() == Errc::kOk;
  if (life_error() != Errc::kOk) return false;
  return parts_.channel->is_connected() || reconnect_locked(deadline);
}

void SessionState::close() noexcept {
  {
    const Lock lock(mutex_);
    // The private heap lasts as long as the process, once there is one.
    if (is_private() && session_heap_ != nullptr) return;
    if (life_.load_relaxed() != static_cast<std::uint32_t>(Life::kOpen)) return;
    life_.store_release(static_cast<std::uint32_t>(Life::kClosed));
  }
  // First, and without the mutex: a callback that runs may use the session until it returns.
  if (parts_.exit_watch) parts_.exit_watch->stop();
  background_trim_.reset();
  Lock lock(mutex_);
  // No answer is needed: without it our counters only count as those of a killed session.
  CallDeadline deadline(parts_.deadline);
  if (session_heap_ != nullptr) (void)request_locked(p::Bye{}, deadline);
  auto heaps = std::exchange(heaps_, {});
  ThreadHeap* const session_heap = std::exchange(session_heap_, nullptr);
  spares_.clear();
  large_.clear();
  large_cache_.clear();
  reservations_.clear();
  lock.unlock();
  heap_table::detach(heaps);
  if (debug_ != nullptr) debug_->forget_all();
  // A thread that ended until now parked its heap here; from now on it keeps a detached one.
  for (ThreadHeap* const heap : take_parked()) heap_table::recycle(heap);
  if (session_heap != nullptr) heap_table::recycle(session_heap);
  if (cells_ != nullptr) ::munmap(cells_, parts_.welcome.granules * sizeof(SpanCell));
  cells_ = nullptr;
  mapping_ = region::RegionMapping();
  parts_.files = region::RegionFiles();
  parts_.channel.reset();
  // Last: from here on the daemon may recover what was ours.
  presence_.unmap();
}

void SessionState::become_forked() noexcept {
  // Also of a session that another thread was about to close: its threads are not here.
  (void)background_trim_.release();
  if (parts_.exit_watch) {
    parts_.exit_watch->abandon();
    (void)parts_.exit_watch.release();
  }
  if (life_.load_relaxed() != static_cast<std::uint32_t>(Life::kOpen)) return;
  life_.store_release(static_cast<std::uint32_t>(Life::kForked));
  // The windows are not mapped here: forget them without unmapping what may lie there now.
  (void)new region::RegionMapping(std::move(mapping_));
  (void)owed_pins_.release();
  // It is locked, and by this thread: see lock_for_fork().
  if (debug_ != nullptr) debug_->forget_all_locked();
  arena_notes_.forget();
  presence_.forget();
  parts_.channel->abandon();
  parts_.files = region::RegionFiles();
  parts_.presence.reset();
}

void SessionState::lock_for_fork() {
  if (is_private()) arena_notes_.lock_for_fork();
  mutex_.lock();
  counters_mutex_.lock();
  parked_mutex_.lock();
  if (debug_ != nullptr) debug_->lock();
  if (is_private()) parts_.channel->lock_for_fork();
}

void SessionState::unlock_after_fork() {
  if (is_private()) parts_.channel->unlock_after_fork();
  if (debug_ != nullptr) debug_->unlock();
  parked_mutex_.unlock();
  counters_mutex_.unlock();
  mutex_.unlock();
  if (is_private()) arena_notes_.unlock_after_fork();
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

// What a request brought after its caller had given up: spans and heaps are kept, pins and
// reservations are let go. And what could not be sent when it came.
void SessionState::book_late_answers_locked(platform::Deadline until) {
  for (const auto& [request, late] : parts_.channel->take_late_answers(until)) {
    if (request != 0 && request == ahead_.request) {
      ahead_.request = 0;
      ahead_.is_refused = std::holds_alternative<p::Failure>(late);
    }
    if (const auto* granted = std::get_if<p::Granted>(&late); granted != nullptr) {
      if (!open_window_locked(granted->high_water_granules)) {
        // Of no use here, nor would the next be.
        (void)post_locked(
            p::ReturnSpan{granted->first, std::uint64_t{granted->granules} * granted->count});
        ahead_.is_refused = true;
        continue;
      }
      if (!book_growth_locked(*granted)) store_spares_locked(*granted);
    } else if (const auto* reserved = std::get_if<p::Reserved>(&late); reserved != nullptr) {
      late_reservations_.push_back(static_cast<std::uint32_t>(reserved->first));
    } else if (const auto* adopted = std::get_if<p::Adopted>(&late); adopted != nullptr) {
      late_orphans_.push_back(adopted->first);
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
  book_owed_pins_locked();
  while (!late_pins_.empty() && post_locked(p::Unpin{late_pins_.back().bits()})) {
    late_pins_.pop_back();
  }
  while (!late_reservations_.empty() && post_locked(p::Unreserve{late_reservations_.back()})) {
    late_reservations_.pop_back();
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
  FastHeap* const heap = debug_ == nullptr ? tls_heaps.at(slot_) : heap_table::hidden(slot_);
  return heap != nullptr && heap->session == this ? static_cast<ThreadHeap*>(heap) : nullptr;
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
  ThreadHeap* const heap = heap_table::obtain();
  if (heap == nullptr) return Error(Errc::kAddressSpace, "a thread's heap");
  auto heap_id = take_heap_id_locked(deadline);
  if (!heap_id) {
    heap_table::recycle(heap);
    return heap_id.error();
  }
  if (auto opened = mapping_.extend_heaps(parts_.files, *heap_id + 1); !opened) {
    late_heaps_.push_back(*heap_id);
    heap_table::recycle(heap);
    return opened.error();
  }
  heap->attach({this, &view_, id_, *heap_id, mapping_.data(), cells_});
  heaps_.push_back(heap);
  return heap;
}

Expected<ThreadHeap*> SessionState::heap_for_this_thread(CallDeadline& deadline) {
  if (ThreadHeap* const heap = this_threads_heap(); heap != nullptr) return heap;
  // Destructors that run after this thread's heaps were parked do without one.
  if (heap_table::thread_is_ending()) return nullptr;
  auto heap = unpark_or_attach(deadline);
  if (!heap) return heap;
  if (debug_ == nullptr) {
    heap_table::set(slot_, *heap);
  } else {
    heap_table::set_hidden(slot_, *heap);
  }
  return heap;
}

Expected<ThreadHeap*> SessionState::unpark_or_attach(CallDeadline& deadline) {
  if (ThreadHeap* const heap = unpark(); heap != nullptr) return heap;
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  book_late_answers_locked();
  auto attached = attach_heap_locked(deadline);
  heap_refused_.store_relaxed(attached ? 0 : 1);
  return attached;
}

void SessionState::park(ThreadHeap* heap) noexcept {
  const LibraryScope inside;
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

Expected<void> SessionState::on_exit(const SessionId& other, std::function<void()> callback) {
  if (const Errc life = life_error(); life != Errc::kOk) return Error(life);
  if (!callback) return Error(Errc::kBadArgument, "an empty callback");
  if (!parts_.exit_watch) return Error(Errc::kNoDaemon, "an embedded region has no other process");
  CallDeadline deadline(parts_.deadline);
  return parts_.exit_watch->watch(other, std::move(callback), deadline);
}

}  // namespace allot::detail
