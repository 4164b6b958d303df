// FastHeap: one thread's private free blocks, and the few lines that allocate from and free to it.
//
// Lives in private memory of the process; only own words and counters are shared. Used by
// Session::allocate()/free() and, inlined, by <allot/fast.hpp>. One thread uses it at a time.
//
// Invariants
// F1. A block is on at most one private stack, and then its own word is {free, gen} (or somebody
//     damaged it, which the next allocation sees and refuses).
// F2. A stack is filled from own words only while it is empty, so no block is put on it twice.
// F3. Of each operation one store matters for recovery: the own word's. The stack's top moves
//     before it in allocate and after it in free; a process killed in between loses only its
//     private stack, which dies with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <allot/detail/atomic.hpp>
#include <allot/detail/own_word.hpp>
#include <allot/detail/wide.hpp>
#include <allot/export.hpp>

namespace allot::detail {

class SessionState;

inline constexpr std::size_t kMaxHeapBins = 128;
inline constexpr std::size_t kGranuleShift = 16;
inline constexpr std::size_t kMaxFastBytes = std::size_t{64} * 1024;

struct FreeBlock {
  void* block;
  Atomic<std::uint32_t>* word;
};

// Counters in the ledger: allocations, frees; one writer (the layout is region/layout.hpp's).
struct HeapCounters {
  Atomic<std::uint64_t> allocations;
  Atomic<std::uint64_t> frees;
};

struct HeapBin {
  FreeBlock* top;     // one past the block that goes out next
  FreeBlock* bottom;  // empty when top == bottom
  FreeBlock* limit;   // full when top == limit
  HeapCounters* counters;
};

struct FastHeap;

// What a process knows of a granule of its own spans; zero for others' granules.
struct alignas(64) SpanCell {
  FastHeap* heap;                // the heap that has the span; nullptr: not a span of blocks
  HeapBin* bin;                  // of that heap
  Atomic<std::uint32_t>* words;  // own word of the span's first block
  std::byte* base;               // of the span
  std::uint64_t reciprocal;      // ceil(2^64 / block size)
  std::uint32_t cell_mask;       // bytes of a cell, less one
  std::uint32_t cell_shift;
  std::uint32_t blocks_per_cell;
  std::uint32_t first;     // granule
  std::uint16_t granules;  // 0: not ours
  std::uint16_t unlisted;  // some free block may be on no stack
  std::uint32_t next;      // block that the next scan begins with
};
static_assert(sizeof(SpanCell) == 64);

struct FastHeap {
  std::uint32_t me;  // own word of a fresh block, generation 0: {session, neither, 0}
  std::uint32_t id;  // heap number in the region
  std::byte* data;
  std::size_t window_bytes;
  SpanCell* cells;
  SessionState* session;
  std::array<HeapBin, kMaxHeapBins> bins;
};

inline constexpr std::size_t kMaxSessionsPerProcess = 16;
// The slot of the process's private heap, which is none of those.
inline constexpr std::size_t kLocalSlot = kMaxSessionsPerProcess;
inline constexpr std::size_t kHeapSlots = kLocalSlot + 1;

// This thread's heap in each of the process's sessions; an empty heap where it has none yet.
extern ALLOT_EXPORT constinit thread_local std::array<FastHeap*, kHeapSlots> tls_heaps
    __attribute__((tls_model("initial-exec")));

extern ALLOT_EXPORT const std::array<std::uint8_t, 65> kBinBy16;
extern ALLOT_EXPORT const std::array<std::uint8_t, 513> kBinBy128;

// Here and below data()[i] and not [i]: the indices are in range by construction, and the library's
// assertions would cost a tenth of an allocation.

/// This thread's heap in the session of `slot`.
[[gnu::always_inline]] inline FastHeap& this_threads_fast_heap(std::size_t slot) noexcept {
  return *tls_heaps.data()[slot];
}

/// Takes a block of the bin from the private stack into `block`; false if the stack is empty or
/// its top is damaged.
[[gnu::always_inline]] inline bool try_pop(FastHeap& heap, std::size_t bin_index,
                                           void*& block) noexcept {
  HeapBin& bin = heap.bins.data()[bin_index];
  FreeBlock* const top = bin.top;
  if (top == bin.bottom) [[unlikely]]
    return false;
  Atomic<std::uint32_t>* const own = top[-1].word;
  // Relaxed: only this heap leaves `free`. What is left is the generation, or the block is not
  // free.
  const std::uint32_t generation = own->load_relaxed() ^ OwnWord::make(OwnWord::kFree, 0);
  if (generation > OwnWord::kGenerationMask) [[unlikely]]
    return false;
  block = top[-1].block;
  bin.top = top - 1;
  // R5 pairs with A5 in recovery and audit: the block is ours from this store on.
  own->store_release(heap.me | generation);
  bin.counters->allocations.add_single_writer(1);
  return true;
}

/// Takes up to `count` blocks as try_pop() does, into `blocks`; returns how many.
inline std::size_t pop_several(FastHeap& heap, std::size_t bin_index, void** blocks,
                               std::size_t count) noexcept {
  HeapBin& bin = heap.bins.data()[bin_index];
  FreeBlock* top = bin.top;
  const auto there = static_cast<std::size_t>(top - bin.bottom);
  const std::size_t most = count < there ? count : there;
  std::size_t taken = 0;
  for (; taken < most; ++taken) {
    --top;
    const std::uint32_t generation = top->word->load_relaxed() ^ OwnWord::make(OwnWord::kFree, 0);
    if (generation > OwnWord::kGenerationMask) [[unlikely]]
      break;
    // Before the store, as F3 says: a signal handler that is in here finds the block gone.
    bin.top = top;
    top->word->store_release(heap.me | generation);  // R5
    blocks[taken] = top->block;
    // One by one: the audit allows a killed thread one block that it did not count.
    bin.counters->allocations.add_single_writer(1);
  }
  return taken;
}

/// Frees `block`, which lies in the span of `cell`, one of this heap's; false if no block that was
/// never exposed begins there, or the stack is full: then nothing has changed.
[[gnu::always_inline]] inline bool try_push_in(FastHeap& heap, const SpanCell& cell,
                                               void* block) noexcept {
  const auto in_span = static_cast<std::uint32_t>(static_cast<std::byte*>(block) - cell.base);
  // As region::block_index(): one multiplication gives the slot and whether a block starts here.
  const Wide product = Wide{in_span & cell.cell_mask} * cell.reciprocal;
  if (static_cast<std::uint64_t>(product) >= cell.reciprocal) [[unlikely]]
    return false;
  const auto slot = static_cast<std::uint64_t>(product >> 64);
  if (slot >= cell.blocks_per_cell) [[unlikely]]
    return false;
  Atomic<std::uint32_t>* const own =
      &cell.words[std::uint64_t{in_span >> cell.cell_shift} * cell.blocks_per_cell + slot];
  // Relaxed: only we move a word that is ours. What is left is the generation, or it is not ours.
  const std::uint32_t generation = own->load_relaxed() ^ heap.me;
  if (generation > OwnWord::kGenerationMask) [[unlikely]]
    return false;
  HeapBin& bin = *cell.bin;
  FreeBlock* const top = bin.top;
  if (top == bin.limit) [[unlikely]]
    return false;
  top->block = block;
  // R6 pairs with A5: what the owner did to the block happens before it is free.
  own->store_release(OwnWord::make(OwnWord::kFree, 0) | generation);
  top->word = own;
  bin.top = top + 1;
  bin.counters->frees.add_single_writer(1);
  return true;
}

/// What is known of the span that `block` lies in; nullptr outside the window.
[[gnu::always_inline]] inline const SpanCell* find_cell(const FastHeap& heap,
                                                        const void* block) noexcept {
  const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(block) - heap.data);
  if (offset >= heap.window_bytes) [[unlikely]]
    return nullptr;
  return &heap.cells[offset >> kGranuleShift];
}

/// Frees a block of this heap's own spans that was never exposed; false if `block` is anything
/// else, or the stack is full: then nothing has changed.
[[gnu::always_inline]] inline bool try_push(FastHeap& heap, void* block) noexcept {
  const SpanCell* const cell = find_cell(heap, block);
  if (cell == nullptr || cell->heap != &heap) [[unlikely]]
    return false;
  return try_push_in(heap, *cell, block);
}

/// The same, and false for a block of another bin.
[[gnu::always_inline]] inline bool try_push_to(FastHeap& heap, std::size_t bin_index,
                                               void* block) noexcept {
  const SpanCell* const cell = find_cell(heap, block);
  if (cell == nullptr || cell->bin != &heap.bins.data()[bin_index]) [[unlikely]]
    return false;
  return try_push_in(heap, *cell, block);
}

/// The bin for 1 .. kMaxFastBytes bytes.
[[gnu::always_inline]] inline std::size_t fast_bin(std::size_t size_bytes) noexcept {
  return size_bytes <= 1024 ? kBinBy16.data()[(size_bytes + 15) / 16]
                            : kBinBy128.data()[(size_bytes + 127) / 128];
}

}  // namespace allot::detail
