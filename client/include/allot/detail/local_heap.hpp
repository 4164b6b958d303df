// What an operator new over the process's private heap stands on; the heap itself: <allot/local.hpp>.
//
// Used by the library allot::new, which replaces the program's global operator new and delete. Any
// thread, at any time: before main, in destructors of static objects and of ending threads, inside
// liballot itself, and in a forked child.
#pragma once

#include <cstddef>

#include <allot/detail/fast_heap.hpp>
#include <allot/export.hpp>

namespace allot::detail {

// This thread's private heap. An empty one where it has none yet, and while the thread is inside
// the library, which may be in the middle of a change of the heap.
extern ALLOT_EXPORT constinit thread_local FastHeap* tls_new_heap
    __attribute__((tls_model("initial-exec")));

/// `size_bytes` (0 counts as 1), aligned to `alignment`, a power of two of at least 16; from malloc
/// where the private heap has no room, or must not be entered. nullptr without memory.
[[nodiscard]] ALLOT_EXPORT void* allocate_for_new(std::size_t size_bytes,
                                                  std::size_t alignment) noexcept;

/// Frees what allocate_for_new() gave, in any thread, or nullptr. Ends the program with a line on
/// stderr if the block is not one that was given out, or was freed before.
ALLOT_EXPORT void free_for_delete(void* block) noexcept;

/// Frees a block of the private heap; as free_for_delete() if it is none.
void free_local(void* block) noexcept;

}  // namespace allot::detail
