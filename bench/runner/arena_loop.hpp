// Loops over arenas: ours, its peers, and the hand-written bump that is the floor.
//
// A "pair" is what the loop repeats: a push, a page, a scope, a whole array. Pushes go through one
// buffer that is reset when it is full, so that only pushes are measured.
#pragma once

#include <memory>

#include "bench/runner/loop.hpp"

namespace allot::bench {

inline constexpr std::size_t kArenaBufferBytes = std::size_t{1} << 20;

/// The loops of this file.
[[nodiscard]] const LoopTable& arena_loops();
/// nullptr where protobuf is not installed.
[[nodiscard]] std::unique_ptr<Loop> make_protobuf_loop(bool write);

/// Pushes `count` blocks, resetting each time the buffer is full; writes all of each if `kWrite`.
template <bool kWrite, class Push, class Reset>
[[gnu::always_inline]] inline void run_pushes(std::uint64_t count, std::size_t size_bytes,
                                              Push push, Reset reset) {
  const std::uint64_t batch = kArenaBufferBytes / ((size_bytes + 15) & ~std::size_t{15});
  while (count > 0) {
    const std::uint64_t now = count < batch ? count : batch;
    for (std::uint64_t i = 0; i < now; ++i) {
      void* const block = push();
      if (block == nullptr) [[unlikely]]
        throw std::runtime_error("a push failed");
      if constexpr (kWrite) {
        // As a program fills a small object: word by word.
        auto* const words = static_cast<std::uint64_t*>(block);
        for (std::size_t word = 0; word < size_bytes / 8; ++word) words[word] = i;
      }
      escape(block);
    }
    count -= now;
    reset();
  }
}

}  // namespace allot::bench
