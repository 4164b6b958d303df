// HeapTable: for every thread, which heap it has in each session's slot.
//
// Process-wide state, private memory. A thread that ends parks its heaps; heaps of closed sessions
// wait here for the next. Locked around fork(), in whose child every table is empty.
#pragma once

#include <cstddef>
#include <vector>

#include "client/thread_heap.hpp"

namespace allot::heap_table {

/// Where a thread's entry of `slot` lies, for detail::this_threads_fast_heap().
[[nodiscard]] std::ptrdiff_t entry_of(std::size_t slot) noexcept;

/// Makes `heap` this thread's heap in `slot`; it is parked when the thread ends.
void set(std::size_t slot, ThreadHeap* heap) noexcept;
/// The same, but the fast paths find no heap and fall through to the session, which uses hidden().
void set_hidden(std::size_t slot, ThreadHeap* heap) noexcept;
/// What set_hidden() put there; it may be detached, or nullptr.
[[nodiscard]] ThreadHeap* hidden(std::size_t slot) noexcept;
/// True in the destructors of a thread's other objects, after its heaps were parked.
[[nodiscard]] bool thread_is_ending() noexcept;

/// A heap that is always empty: what a thread's table holds where it has none.
[[nodiscard]] detail::FastHeap* none() noexcept;

/// A detached heap: a used one, or a new one. nullptr without memory.
[[nodiscard]] ThreadHeap* obtain() noexcept;
/// Takes back a detached heap that no thread's table points at.
void recycle(ThreadHeap* heap) noexcept;
/// Detaches all `heaps` of a session that closes. Their threads find them empty.
void detach(const std::vector<ThreadHeap*>& heaps) noexcept;

// fork(): before the locks of any session are taken, and after; then the reverse.
void lock_parking_for_fork();
void lock_idle_for_fork();
void unlock_idle_after_fork();
void unlock_parking_after_fork();
/// In the child: this thread's table but for the process's private heap, which is there.
void empty_this_threads() noexcept;

}  // namespace allot::heap_table
