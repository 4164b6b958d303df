// FitHeap: best fit in memory that one owner has for itself: mixed sizes, freed in any order.
//
// For one thread at a time of one process; not for blocks that are offered or published (a
// Session's are). It stands on a caller's buffer, or on an arena, from which it takes more when it
// is full; in a region it is that arena's session that owns the memory, and recovery takes it back
// whole. Each call is noexcept; nullptr or an Errc says that it failed, and then nothing has
// changed; last_error() says why. After fork() the child may use its copy where it may use the
// arena's.
//
// The idea: memory is cut into extents, live or free, in a list of neighbours. A freed extent
// becomes one with free neighbours on both sides. Free ones stand in a red-black tree by size and
// address; the smallest that serves is taken, among equals the lowest, which keeps the high end
// whole. All of that lies in pages of its own between guard pages, none of it among the payload
// (ADR 7): whatever is written there, the heap stays sound. It takes up to 100 bytes a block, some
// 40 KiB at first, and reserves up to 16 GiB of address space for them.
//
// F1. live_bytes + free_bytes == managed_bytes.
// F2. No two free neighbours touch.
// F3. The tree holds exactly the free extents, the index by address exactly the live ones.
//
// Source: boundary tags and best fit, Knuth, TAOCP 1, section 2.5; here the tags lie out of band.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include <allot/arena.hpp>
#include <allot/errc.hpp>
#include <allot/export.hpp>

namespace allot {

namespace detail {
class FitCore;
}  // namespace detail

struct FitHeapOptions {
  /// Bytes of the first growth of a heap over an arena; later ones double up to max_grow_bytes.
  /// Less where the arena has no more; more for a larger block.
  std::size_t grow_bytes = std::size_t{64} << 10;
  std::size_t max_grow_bytes = std::size_t{4} << 20;
};

class ALLOT_EXPORT FitHeap {
 public:
  /// Addresses and sizes are multiples of it.
  static constexpr std::size_t kUnitBytes = 16;

  /// Over the caller's buffer, which stays the caller's and must outlive the heap; no byte of it is
  /// read or written. kBadArgument if no unit fits.
  [[nodiscard]] static FitHeap over(std::span<std::byte> buffer) noexcept;
  /// Over pushes of `arena`, which must outlive it: as of a child, it refuses to be popped below
  /// them, to be cleared and to be released until the heap is released (Errc::kScopeOpen). Takes
  /// nothing yet. kClosed, kMachineFull, kAddressSpace, kBadArgument (grow_bytes below 16, or one
  /// of the two beyond 2^40).
  [[nodiscard]] static FitHeap over(Arena& arena, const FitHeapOptions& options = {}) noexcept;

  FitHeap() noexcept = default;
  FitHeap(FitHeap&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  FitHeap& operator=(FitHeap&& other) noexcept {
    if (this != &other) {
      release();
      core_ = std::exchange(other.core_, nullptr);
    }
    return *this;
  }
  FitHeap(const FitHeap&) = delete;
  FitHeap& operator=(const FitHeap&) = delete;
  /// As release().
  ~FitHeap() { release(); }

  /// False if over() failed, after a move and after release(): then every call answers kClosed.
  explicit operator bool() const noexcept { return core_ != nullptr; }
  /// Why this thread's latest call of a heap or an arena failed.
  [[nodiscard]] static Errc last_error() noexcept { return Arena::last_error(); }

  // --- blocks ---

  /// `size_bytes`, rounded up to units, at `alignment` (a power of two; below 16 is 16). Contents
  /// unspecified. Size 0 gives an address of its own. nullptr: kSizeTooLarge, kBadAlignment,
  /// kArenaFull, kMachineFull, kScopeOpen (a younger scope of the arena is open, whose end would
  /// take what the heap grows by), or what the arena's source says. O(log n); no syscall unless the
  /// heap or its bookkeeping grows. An alignment above 16 looks at 64 extents for the best, then
  /// takes one that is long enough for any, if there is one; else it goes on, O(n).
  [[nodiscard]] void* allocate(std::size_t size_bytes, std::size_t alignment = kUnitBytes) noexcept;

  /// Makes `block` `size_bytes` long; contents stay up to the smaller size. In place if it shrinks
  /// (the tail becomes free), if the extent above is free and long enough, or if the arena grows
  /// right behind it; else it moves. Moves too if its address is no multiple of `alignment`.
  /// nullptr for `block` allocates; size 0 keeps an address. On nullptr the block is as it was: as
  /// allocate() and free() fail.
  [[nodiscard]] void* reallocate(void* block, std::size_t size_bytes,
                                 std::size_t alignment = kUnitBytes) noexcept;

  /// Frees a block of this heap and joins it with free neighbours. nullptr is ignored. Anything but
  /// a live block's address changes nothing: kInteriorPointer, kDoubleFree (what lies there is
  /// free), kNotABlock (no memory of this heap). O(log n), of a mistake O(n). No syscall.
  Errc free(void* block) noexcept;

  /// Bytes that may be used at `block`: what was asked for, rounded up to units. 0 if it is no
  /// block.
  [[nodiscard]] std::size_t size_of(const void* block) const noexcept;

  // --- all at once ---

  /// Frees every block; the memory stays the heap's. kClosed. O(n).
  Errc clear() noexcept;
  /// Ends the heap: every block is gone, an arena has its memory back. Nothing if it has ended.
  void release() noexcept;

  // --- looking ---

  [[nodiscard]] std::size_t live_bytes() const noexcept;
  [[nodiscard]] std::size_t free_bytes() const noexcept;
  /// Bytes of the buffer, or taken from the arena.
  [[nodiscard]] std::size_t managed_bytes() const noexcept;
  /// The largest block that fits without growth, at alignment 16.
  [[nodiscard]] std::size_t largest_free_bytes() const noexcept;
  [[nodiscard]] std::size_t block_count() const noexcept;
  /// Verifies F1 to F3, and list, tree and index against each other. O(n); for tests.
  [[nodiscard]] bool check() const noexcept;

 private:
  detail::FitCore* core_ = nullptr;
};

}  // namespace allot
