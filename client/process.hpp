// What a process knows of its sessions: the slots of every thread's heap table, thread exit, fork.
//
// Process-wide state, private memory. Registered sessions are locked around fork() and become
// kForked in the child; a thread that ends parks its heaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <allot/expected.hpp>

#include "client/call_deadline.hpp"
#include "client/thread_heap.hpp"

namespace allot::process {

/// Gives `state` a slot in every thread's heap table. kTooManySessions if all are in use.
[[nodiscard]] Expected<std::size_t> add_session(detail::SessionState* state);
/// Frees the slot: no Session handle refers to it any more.
void remove_session(std::size_t slot) noexcept;

/// The session this process has under `key`, if it is connected, or the one that `make` opens; one
/// call at a time, the others wait until their deadlines.
[[nodiscard]] Expected<std::shared_ptr<detail::SessionState>> find_or_make(
    const std::string& key, detail::CallDeadline& deadline,
    const std::function<Expected<std::shared_ptr<detail::SessionState>>()>& make);

/// How many forks lie between the program's start and this process: differs in every forked child.
[[nodiscard]] std::uint32_t fork_count() noexcept;

/// Makes `heap` this thread's heap in `slot`; it is parked when the thread ends.
void set_thread_heap(std::size_t slot, ThreadHeap* heap) noexcept;
/// True in the destructors of a thread's other objects, after its heaps were parked.
[[nodiscard]] bool thread_is_ending() noexcept;

/// A detached heap: a used one, or a new one. nullptr without memory.
[[nodiscard]] ThreadHeap* obtain_heap() noexcept;
/// Takes back a detached heap that no thread's table points at.
void recycle_heap(ThreadHeap* heap) noexcept;
/// Detaches all `heaps` of a session that closes. Their threads find them empty.
void detach_heaps(const std::vector<ThreadHeap*>& heaps) noexcept;

}  // namespace allot::process
