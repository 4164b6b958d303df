// What a process knows of its sessions: their slots, the one to each region, and fork().
//
// Process-wide state, private memory. Registered sessions are locked around fork() and become
// kForked in the child, but for that of the process's private heap, which goes on there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <allot/expected.hpp>

#include "client/call_deadline.hpp"

namespace allot {

namespace detail {
class SessionState;
}

namespace process {

/// Gives `state` a slot in every thread's heap table. kTooManySessions if all are in use.
[[nodiscard]] Expected<std::size_t> add_session(detail::SessionState* state);
/// Frees the slot: no Session handle refers to it any more.
void remove_session(std::size_t slot) noexcept;

/// The session this process has under `key`, if it is connected, or the one that `make` opens; one
/// call at a time, the others wait until their deadlines.
[[nodiscard]] Expected<std::shared_ptr<detail::SessionState>> find_or_make(
    const std::string& key, detail::CallDeadline& deadline,
    const std::function<Expected<std::shared_ptr<detail::SessionState>>()>& make);

/// Makes `state` that of the process's private heap, which has a slot of its own.
void add_local(detail::SessionState* state);
/// Calls `make`, and no fork happens meanwhile in this process.
void make_local(const std::function<void()>& make);

/// How many forks lie between the program's start and this process: differs in every forked child.
[[nodiscard]] std::uint32_t fork_count() noexcept;

}  // namespace process
}  // namespace allot
