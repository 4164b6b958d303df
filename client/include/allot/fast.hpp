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
  static std::size_t slot(const Session& session) noexcept { return session.slot_; }
};

namespace fast {

/// As Session::allocate().
[[nodiscard, gnu::always_inline]] inline void* allocate(Session& session,
                                                        std::size_t size_bytes) noexcept {
  if (size_bytes - 1 < detail::kMaxFastBytes) [[likely]] {
    detail::FastHeap& heap = detail::this_threads_fast_heap(FastAccess::slot(session));
    void* block = nullptr;
    if (detail::try_pop(heap, detail::fast_bin(size_bytes), block)) [[likely]]
      return block;
  }
  return session.allocate(size_bytes);
}

/// As Session::free().
[[gnu::always_inline]] inline Errc free(Session& session, void* block) noexcept {
  detail::FastHeap& heap = detail::this_threads_fast_heap(FastAccess::slot(session));
  if (detail::try_push(heap, block)) [[likely]]
    return Errc::kOk;
  return session.free(block);
}

}  // namespace fast
}  // namespace allot
