// ArenaBump: the registers of a bump cursor: all that an inlined push and pop touch.
//
// One cache line. A handle that may not use its registers (no arena behind it, a younger scratch
// has them, the arena has checks, a hook or a mutex) is *parked*: it holds a default ArenaBump,
// with which each inlined path fails its one comparison and calls the library.
//
// Invariants, unless parked
// B1. floor <= cursor <= limit, or floor == kNoFloor; limit is at most the end of usable memory of
//     the current block.
// B2. cursor - origin == bytes in use, padding included.
// B3. Bytes of the block at and above max(dirty, cursor) are zero.
// B4. Between floor and cursor lies nothing but plain pushes of the current block: no destructor,
//     no other block, no child, no mark of an open scope. So a pop to there is a store.
#pragma once

#include <cstddef>
#include <cstdint>

namespace allot::detail {

inline constexpr std::uintptr_t kNoFloor = ~std::uintptr_t{0};
inline constexpr std::size_t kDefaultArenaAlignment = 16;

struct ArenaBump {
  std::uintptr_t cursor = 0;
  std::uintptr_t limit = 0;
  std::uintptr_t floor = kNoFloor;
  std::uintptr_t dirty = 0;
  std::uintptr_t origin = 0;
  std::uint64_t stamp = 0;
  std::uintptr_t align_mask = kDefaultArenaAlignment - 1;
  std::uint64_t barrier = 0;  // offset where the youngest open scope began, plus 1; 0: none is open

  [[nodiscard]] bool parked() const noexcept { return limit == 0; }
};
static_assert(sizeof(ArenaBump) == 64);

/// A power of two; zero is none.
[[nodiscard]] constexpr bool is_alignment(std::size_t value) noexcept {
  return value != 0 && (value & (value - 1)) == 0;
}

/// No address space is larger: below it, sums of an address, a size and an alignment do not
/// overflow.
inline constexpr std::size_t kMaxArenaBytes = std::size_t{1} << 47;

/// Takes `size` bytes at `align_mask + 1`; false, and nothing has changed, if they do not fit, if
/// size is 0 or beyond kMaxArenaBytes, or if `bump` is parked. Of a size known to the compiler an
/// add, a mask and a compare remain.
[[nodiscard, gnu::always_inline]] inline bool bump_push(ArenaBump& bump, std::size_t size,
                                                        std::uintptr_t align_mask,
                                                        void*& block) noexcept {
  const std::uintptr_t start = (bump.cursor + align_mask) & ~align_mask;
  const std::uintptr_t end = start + size;
  if (size - 1 >= kMaxArenaBytes || end > bump.limit) [[unlikely]]
    return false;
  bump.cursor = end;
  block = reinterpret_cast<void*>(start);  // NOLINT(performance-no-int-to-ptr): a bump cursor
  return true;
}

/// Comes back to address `target` if nothing but plain pushes lies above it.
[[nodiscard, gnu::always_inline]] inline bool bump_pop(ArenaBump& bump,
                                                       std::uintptr_t target) noexcept {
  if (target < bump.floor || target > bump.cursor) [[unlikely]]
    return false;
  if (bump.cursor > bump.dirty) bump.dirty = bump.cursor;
  bump.cursor = target;
  return true;
}

}  // namespace allot::detail
