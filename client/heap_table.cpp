#include "client/heap_table.hpp"

#include <array>
#include <mutex>
#include <utility>

#include <allot/detail/local_heap.hpp>

#include "client/immortal.hpp"
#include "client/library_scope.hpp"
#include "client/session_state.hpp"

namespace allot {

namespace detail {

constinit Atomic<std::uint32_t> no_word{};
constinit FreeBlock no_block{nullptr, &no_word};

namespace {

// What a thread's table holds where it has no heap: every bin is empty, no address is inside.
constinit FastHeap empty_heap{};

constexpr std::array<FastHeap*, kHeapSlots> all_empty() {
  std::array<FastHeap*, kHeapSlots> table{};
  table.fill(&empty_heap);
  return table;
}

}  // namespace

constinit thread_local std::array<FastHeap*, kHeapSlots> tls_heaps = all_empty();
constinit thread_local FastHeap* tls_new_heap = &empty_heap;

}  // namespace detail

namespace heap_table {

namespace {

// Neither is ever destroyed: threads may end after static destructors have run.

// Held while a thread parks its heap and while a closing session takes its heaps away.
std::mutex& parking_mutex() {
  static Immortal<std::mutex> mutex;
  return mutex.get();
}

struct Idle {
  std::mutex mutex;
  std::vector<ThreadHeap*> heaps;
};

Idle& idle_heaps() {
  static Immortal<Idle> idle;
  return idle.get();
}

// Heaps that the fast paths do not see: of sessions with a debug mode on.
constinit thread_local std::array<ThreadHeap*, detail::kHeapSlots> hidden_heaps{};

void leave(ThreadHeap* heap) noexcept {
  const std::lock_guard lock(parking_mutex());
  if (heap->is_attached()) {
    heap->session->park(heap);
  } else {
    recycle(heap);
  }
}

// Ends with its thread and parks the thread's heaps.
struct Parker {
  bool ended = false;
  Parker() noexcept = default;
  Parker(const Parker&) = delete;
  Parker& operator=(const Parker&) = delete;
  ~Parker() {
    const LibraryScope inside;
    ended = true;
    for (detail::FastHeap*& entry : detail::tls_heaps) {
      if (entry == &detail::empty_heap) continue;
      leave(static_cast<ThreadHeap*>(std::exchange(entry, &detail::empty_heap)));
    }
    for (ThreadHeap*& entry : hidden_heaps) {
      if (entry != nullptr) leave(std::exchange(entry, nullptr));
    }
  }
};

thread_local Parker parker;

// Makes room for a heap: what is there is a detached heap of an earlier session in this slot, and
// only this thread's tables point at it.
void clear(std::size_t slot) noexcept {
  (void)&parker;  // makes it exist, so that its destructor runs
  parker.ended = false;
  auto*& entry = detail::tls_heaps.at(slot);
  if (entry != &detail::empty_heap) recycle(static_cast<ThreadHeap*>(entry));
  entry = &detail::empty_heap;
  ThreadHeap* const of_debugged = std::exchange(hidden_heaps.at(slot), nullptr);
  if (of_debugged != nullptr) recycle(of_debugged);
}

}  // namespace

std::ptrdiff_t entry_of(std::size_t slot) noexcept {
  return reinterpret_cast<std::byte*>(&detail::tls_heaps.at(slot)) -
         static_cast<std::byte*>(__builtin_thread_pointer());
}

void set(std::size_t slot, ThreadHeap* heap) noexcept {
  clear(slot);
  detail::tls_heaps.at(slot) = heap;
  if (slot == detail::kLocalSlot) LibraryScope::heap_changed();
}

void set_hidden(std::size_t slot, ThreadHeap* heap) noexcept {
  clear(slot);
  hidden_heaps.at(slot) = heap;
}

ThreadHeap* hidden(std::size_t slot) noexcept { return hidden_heaps.at(slot); }

detail::FastHeap* none() noexcept { return &detail::empty_heap; }

bool thread_is_ending() noexcept { return parker.ended; }

ThreadHeap* obtain() noexcept {
  const LibraryScope inside;
  Idle& idle = idle_heaps();
  const std::lock_guard lock(idle.mutex);
  if (idle.heaps.empty()) return ThreadHeap::create();
  ThreadHeap* const heap = idle.heaps.back();
  idle.heaps.pop_back();
  return heap;
}

void recycle(ThreadHeap* heap) noexcept {
  const LibraryScope inside;
  Idle& idle = idle_heaps();
  const std::lock_guard lock(idle.mutex);
  idle.heaps.push_back(heap);
}

void detach(const std::vector<ThreadHeap*>& heaps) noexcept {
  const LibraryScope inside;
  const std::lock_guard lock(parking_mutex());
  for (ThreadHeap* const heap : heaps) heap->detach();
}

void lock_parking_for_fork() { parking_mutex().lock(); }

void lock_idle_for_fork() { idle_heaps().mutex.lock(); }

void unlock_idle_after_fork() { idle_heaps().mutex.unlock(); }

void unlock_parking_after_fork() { parking_mutex().unlock(); }

void empty_this_threads() noexcept {
  for (std::size_t slot = 0; slot < detail::kMaxSessionsPerProcess; ++slot) {
    detail::tls_heaps.at(slot) = &detail::empty_heap;
  }
  hidden_heaps.fill(nullptr);
}

}  // namespace heap_table
}  // namespace allot
