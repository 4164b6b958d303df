// LibraryScope: this thread is inside the library, so that operator new must not come back into it.
//
// A program may have its operator new from the process's private heap (<allot/local.hpp>), and the
// library itself uses std::vector, std::map and std::string while it holds its locks or changes a
// heap. In a scope operator new takes memory from malloc, and operator delete puts a block of the
// private heap aside until the outermost scope of the thread ends. A scope belongs around
// everything that a fork locks, and around what changes a heap and may allocate.
//
// Costs a few stores; the fast path of operator new is not slower for it: it looks at
// detail::tls_new_heap, which in a scope is an empty heap. One thread.
#pragma once

#include <mutex>

namespace allot {

class LibraryScope {
 public:
  LibraryScope() noexcept { enter(); }
  LibraryScope(const LibraryScope& /*other*/) noexcept { enter(); }
  LibraryScope& operator=(const LibraryScope&) noexcept = default;
  ~LibraryScope() { leave(); }

  /// True in a scope of this thread.
  [[nodiscard]] static bool is_inside() noexcept;

  // For scopes that begin in one function and end in another, as those around a fork do.
  static void enter() noexcept;
  static void leave() noexcept;

  /// Frees `block`, one of the private heap of at least 16 bytes, when the outermost scope ends.
  static void free_later(void* block) noexcept;
  /// This thread has another private heap now, or none.
  static void heap_changed() noexcept;
};

/// A lock in a scope of its own, which ends after it.
template <class Mutex>
class ScopedLock : LibraryScope, public std::unique_lock<Mutex> {
 public:
  using std::unique_lock<Mutex>::unique_lock;
  // NOLINTNEXTLINE(google-explicit-constructor): what takes a lock in time gives a bare one.
  ScopedLock(std::unique_lock<Mutex>&& lock) noexcept : std::unique_lock<Mutex>(std::move(lock)) {}
};

}  // namespace allot
