// The own word: 32 bits of shared memory that say who owns a block, and its generation.
//
// Written by every process of a region under the rules of docs/design.md, section 4. It is the
// one truth about a block: lists of free blocks are hints in private memory.
//
//   bits  0..17  generation; changes when a block whose handle was given out is freed
//   bit  18      offered: the owner agreed that another session may adopt the block
//   bit  19      exposed: a handle of the block exists
//   bits 20..31  owner: a special owner below, or a session (kFirstSession ..)
//
// | owner   | who may leave it                        | by                                     |
// |---------|-----------------------------------------|----------------------------------------|
// | invalid | the session that has the span           | carving (before the carve word)        |
// | free    | the heap that has the span              | allocate                               |
// | freed   | that heap; the daemon, for large blocks | collect; reclaim                       |
// | kept    | the daemon                              | unpublish                              |
// | taken   | the daemon                              | return of the span                     |
// | session | its owner; a receiver if offered; the daemon after the owner's death            |
#pragma once

#include <cstdint>

#include <allot/handle.hpp>

namespace allot::detail {

struct OwnWord {
  static constexpr std::uint32_t kGenerationMask = (1U << Handle::kGenerationBits) - 1;
  static constexpr std::uint32_t kOffered = 1U << 18;
  static constexpr std::uint32_t kExposed = 1U << 19;
  static constexpr unsigned kOwnerShift = 20;
  static constexpr std::uint32_t kOwnerMask = 0xFFFU << kOwnerShift;

  static constexpr std::uint32_t kInvalid = 0;
  static constexpr std::uint32_t kFree = 1;
  static constexpr std::uint32_t kFreed = 2;
  static constexpr std::uint32_t kKept = 3;
  static constexpr std::uint32_t kTaken = 4;
  static constexpr std::uint32_t kFirstSession = 16;
  static constexpr std::uint32_t kSessionLimit = 4096;  // session ids are below this

  static constexpr std::uint32_t make(std::uint32_t owner, std::uint32_t generation) noexcept {
    return (owner << kOwnerShift) | (generation & kGenerationMask);
  }
  static constexpr std::uint32_t owner(std::uint32_t word) noexcept { return word >> kOwnerShift; }
  static constexpr std::uint32_t generation(std::uint32_t word) noexcept {
    return word & kGenerationMask;
  }
  static constexpr bool is_exposed(std::uint32_t word) noexcept { return (word & kExposed) != 0; }
  static constexpr bool is_offered(std::uint32_t word) noexcept { return (word & kOffered) != 0; }
  static constexpr bool is_session(std::uint32_t word) noexcept {
    return owner(word) >= kFirstSession;
  }
  /// Owned by a session or by the service: its bytes are somebody's.
  static constexpr bool is_live(std::uint32_t word) noexcept {
    return is_session(word) || owner(word) == kKept;
  }
  /// What a free of the block that holds `word` leaves behind: `owner` is kFree or kFreed; the
  /// generation changes if the block was exposed (invariant I5).
  static constexpr std::uint32_t after_free(std::uint32_t word, std::uint32_t owner) noexcept {
    return make(owner, generation(word) + (is_exposed(word) ? 1U : 0U));
  }
};

static_assert(OwnWord::kOwnerShift == Handle::kGenerationBits + 2);

}  // namespace allot::detail
