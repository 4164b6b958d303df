// Allocation with its fast path compiled into the caller.
//
// Session::allocate() and free() are calls into liballot.so; these do the same without the call.
// A program that includes this header is bound to the layout of the liballot it was compiled
// against: connect() refuses a mismatched daemon.
#pragma once

#include <allot/detail/fast_heap.hpp>
#include <allot/session.hpp>

namespace allot {

struct FastAccess {
  static detail::FastHeap& heap(const Session& session) noexcept {
    return detail::this_threads_fast_heap(session.heap_entry_);
  }
};

namespace fast {

/// As Session::allocate().
[[nodiscard, gnu::always_inline]] inline void* allocate(Session& session,
                                                        std::size_t size_bytes) noexcept {
  void* block = nullptr;
  if (detail::try_pop_bytes(FastAccess::heap(session), size_bytes, block)) [[likely]]
    return block;
  return session.allocate(size_bytes);
}

/// As Session::free().
[[gnu::always_inline]] inline Errc free(Session& session, void* block) noexcept {
  if (detail::try_push(FastAccess::heap(session), block)) [[likely]]
    return Errc::kOk;
  return session.free(block);
}

}  // namespace fast
}  // namespace allot
