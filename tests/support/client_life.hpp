// What a client does that is killed, or stopped, after any of its stores: a bit of everything that writes
// to shared memory.
//
// For roles: each call throws if it does not get what a client must get whose daemon serves, or comes
// back. Blocks carry a pattern and are checked when they are freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <allot/arena.hpp>
#include <allot/session.hpp>

namespace allot::test {

/// A block of ours, and what was written to it.
struct FilledBlock {
  void* address = nullptr;
  std::size_t size_bytes = 0;
  std::uint64_t seed = 0;
};

[[nodiscard]] FilledBlock allocate_filled(Session& session, std::size_t size_bytes,
                                          std::uint64_t seed);
void free_filled(Session& session, const FilledBlock& block);

/// Before the life: opens the windows, and carves what is long to carve; the model test ClientKill stops
/// there. While the arena that it returns lives, the end of another one does not free the session's
/// notes of arenas: thousands of stores of what is there already.
[[nodiscard]] Arena open_windows(Session& session);
/// Four blocks of each of some sizes; frees every second one and returns the others.
[[nodiscard]] std::vector<FilledBlock> allocate_and_free(Session& session);
void allocate_in_a_thread(Session& session);
void use_an_arena(Session& session);

/// Runs `life`, and raises `signal` in the thread that has made store number `at` to a ledger (from 1;
/// 0: none). Returns how many there were.
[[nodiscard]] std::uint64_t run_to_store(std::uint64_t at, int signal,
                                         const std::function<void()>& life);

}  // namespace allot::test
