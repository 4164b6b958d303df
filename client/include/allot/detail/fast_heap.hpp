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
// F4. `recent` of a bin is a block of the heap's spans with its own word; `spare` is nullptr, or that
//     block, free. So a block that goes out and comes back costs no search, and no wait of its
//     pop for its push. Below a stack's first entry lies one whose word is never free.
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

/// Own word of no block, which is never free.
extern ALLOT_EXPORT Atomic<std::uint32_t> no_word;
/// What lies below the first entry of a stack.
extern ALLOT_EXPORT FreeBlock no_block;

struct alignas(64) HeapBin {
  FreeBlock* top = &no_block + 1;     // one past the block that goes out next
  FreeBlock* bottom = &no_block + 1;  // empty when top == bottom
  FreeBlock* limit = &no_block + 1;   // full when top == limit
  HeapCounters* counters = nullptr;
  void* spare = nullptr;  // goes out before those of the stack
  FreeBlock recent{};
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

  // Of two threads of a session one may free a block that was handed to it, while the other's heap
  // adopts its span: relaxed, for what the first reads is not its own heap before or after.
  [[nodiscard]] bool is_of(const FastHeap& one) const noexcept {
    return __atomic_load_n(&heap, __ATOMIC_RELAXED) == &one;
  }
  [[nodiscard]] bool is_of(const HeapBin& one) const noexcept {
    return __atomic_load_n(&bin, __ATOMIC_RELAXED) == &one;
  }
  void become(const SpanCell& cell) noexcept {
    __atomic_store_n(&heap, cell.heap, __ATOMIC_RELAXED);
    __atomic_store_n(&bin, cell.bin, __ATOMIC_RELAXED);
    words = cell.words;
    base = cell.base;
    reciprocal = cell.reciprocal;
    cell_mask = cell.cell_mask;
    cell_shift = cell.cell_shift;
    blocks_per_cell = cell.blocks_per_cell;
    first = cell.first;
    granules = cell.granules;
    unlisted = cell.unlisted;
    next = cell.next;
  }
};
static_assert(sizeof(SpanCell) == 64);

inline constexpr std::size_t kMaxSmallFastBytes = 1024;

struct FastHeap {
  std::uint32_t me = 0;  // own word of a fresh block, generation 0: {session, neither, 0}
  std::uint32_t id = 0;  // heap number in the region
  // `me` against a free block's: what takes an own word from one to the other by one operation, for
  // allocations and frees of one block wait for each other's words.
  std::uint32_t turn = 0;
  std::byte* data = nullptr;
  std::size_t window_bytes = 0;
  SpanCell* cells = nullptr;
  SessionState* session = nullptr;
  std::array<std::uint8_t, kMaxSmallFastBytes / 16>
      small_bins{};  // for 1 .. 16 bytes, 17 .. 32, ...
  std::array<HeapBin, kMaxHeapBins> bins;
};

inline constexpr std::size_t kMaxSessionsPerProcess = 16;
// The slot of the process's private heap, which is none of those.
inline constexpr std::size_t kLocalSlot = kMaxSessionsPerProcess;
inline constexpr std::size_t kHeapSlots = kLocalSlot + 1;

// This thread's heap in each of the process's sessions; an empty heap where it has none yet.
extern ALLOT_EXPORT constinit thread_local std::array<FastHeap*, kHeapSlots> tls_heaps
    __attribute__((tls_model("initial-exec")));

/// The bins for 1 .. 128 bytes, 129 .. 256, ...; for more than kMaxSmallFastBytes.
extern ALLOT_EXPORT const std::array<std::uint8_t, kMaxFastBytes / 128> kMediumBins;

// Here and below data()[i] and not [i]: the indices are in range by construction, and the library's
// assertions would cost a tenth of an allocation.

/// Where a session's entry of that table lies, from the thread pointer on: the same in all threads.
[[gnu::always_inline]] inline FastHeap& this_threads_fast_heap(std::ptrdiff_t entry) noexcept {
  auto* const base = static_cast<std::byte*>(__builtin_thread_pointer());
  return **reinterpret_cast<FastHeap**>(base + entry);
}

/// Takes a free block of the bin into `block`; false if there is none, or it is damaged.
[[gnu::always_inline]] inline bool try_pop(FastHeap& heap, std::size_t bin_index,
                                           void*& block) noexcept {
  HeapBin& bin = heap.bins.data()[bin_index];
  void* const spare = bin.spare;
  FreeBlock* const top = bin.top;
  // Of an empty stack it is no_word.
  Atomic<std::uint32_t>* const own = spare != nullptr ? bin.recent.word : top[-1].word;
  // Relaxed: only this heap leaves `free`. But for the generation it must be what a free block's is.
  const std::uint32_t word = own->load_relaxed();
  if ((word ^ OwnWord::make(OwnWord::kFree, 0)) > OwnWord::kGenerationMask) [[unlikely]]
    return false;
  if (spare != nullptr) {
    block = spare;
    bin.spare = nullptr;
  } else {
    block = top[-1].block;
    bin.top = top - 1;
  }
  // R5 pairs with A5 in recovery and audit: the block is ours from this store on.
  own->store_release(word ^ heap.turn);
  bin.counters->allocations.increment_single_writer();
  return true;
}

/// The same for a block of 1 .. kMaxFastBytes bytes; false for any other size.
[[gnu::always_inline]] inline bool try_pop_bytes(FastHeap& heap, std::size_t size_bytes,
                                                 void*& block) noexcept {
  const std::size_t last = size_bytes - 1;
  if (last < kMaxSmallFastBytes) [[likely]]
    return try_pop(heap, heap.small_bins.data()[last / 16], block);
  if (last < kMaxFastBytes) [[likely]]
    return try_pop(heap, kMediumBins.data()[last / 128], block);
  return false;
}

/// Takes up to `count` blocks of the stack as try_pop() does, into `blocks`; returns how many.
inline std::size_t pop_several(FastHeap& heap, std::size_t bin_index, void** blocks,
                               std::size_t count) noexcept {
  HeapBin& bin = heap.bins.data()[bin_index];
  FreeBlock* top = bin.top;
  const auto there = static_cast<std::size_t>(top - bin.bottom);
  const std::size_t most = count < there ? count : there;
  std::size_t taken = 0;
  for (; taken < most; ++taken) {
    --top;
    const std::uint32_t word = top->word->load_relaxed();
    if ((word ^ OwnWord::make(OwnWord::kFree, 0)) > OwnWord::kGenerationMask) [[unlikely]]
      break;
    // Before the store, as F3 says: a signal handler that is in here finds the block gone.
    bin.top = top;
    top->word->store_release(word ^ heap.turn);  // R5
    blocks[taken] = top->block;
    // One by one: the audit allows a killed thread one block that it did not count.
    bin.counters->allocations.increment_single_writer();
  }
  return taken;
}

/// Finds the own word of `block`, which lies in the span of `cell`; false if no block begins there.
[[gnu::always_inline]] inline bool find_own_word(const SpanCell& cell, const void* block,
                                                 Atomic<std::uint32_t>*& own) noexcept {
  const auto in_span = static_cast<std::uint32_t>(static_cast<const std::byte*>(block) - cell.base);
  // As region::block_index(): one multiplication gives the slot and whether a block starts here.
  const Wide product = Wide{in_span & cell.cell_mask} * cell.reciprocal;
  if (static_cast<std::uint64_t>(product) >= cell.reciprocal) [[unlikely]]
    return false;
  const auto slot = static_cast<std::uint64_t>(product >> 64);
  if (slot >= cell.blocks_per_cell) [[unlikely]]
    return false;
  own = &cell.words[std::uint64_t{in_span >> cell.cell_shift} * cell.blocks_per_cell + slot];
  return true;
}

/// Frees `block`, which lies in the span of `cell`, one of this heap's; false if no block that was
/// never exposed begins there, or the stack is full: then nothing has changed.
[[gnu::always_inline]] inline bool try_push_in(const FastHeap& heap, const SpanCell& cell,
                                               void* block) noexcept {
  HeapBin& bin = *cell.bin;
  const bool is_recent = bin.recent.block == block;
  Atomic<std::uint32_t>* own = bin.recent.word;
  if (!is_recent && !find_own_word(cell, block, own)) [[unlikely]]
    return false;
  // Relaxed: only we move a word that is ours. But for the generation it must be `me`.
  const std::uint32_t word = own->load_relaxed();
  if ((word ^ heap.me) > OwnWord::kGenerationMask) [[unlikely]]
    return false;
  const std::uint32_t freed = word ^ heap.turn;
  if (is_recent) {
    // R6 pairs with A5: what the owner did to the block happens before it is free.
    own->store_release(freed);
    bin.spare = block;
  } else if (bin.spare == nullptr) {
    own->store_release(freed);  // R6
    bin.recent = FreeBlock{block, own};
    bin.spare = block;
  } else {
    FreeBlock* const top = bin.top;
    if (top == bin.limit) [[unlikely]]
      return false;
    *top = FreeBlock{block, own};
    own->store_release(freed);  // R6
    bin.top = top + 1;
  }
  bin.counters->frees.increment_single_writer();
  return true;
}

/// What is known of the span that `block` lies in, in `cell`; false outside the window.
[[gnu::always_inline]] inline bool find_cell(const FastHeap& heap, const void* block,
                                             const SpanCell*& cell) noexcept {
  const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(block) - heap.data);
  if (offset >= heap.window_bytes) [[unlikely]]
    return false;
  cell = heap.cells + (offset >> kGranuleShift);
  return true;
}

/// Frees a block of this heap's own spans that was never exposed; false if `block` is anything
/// else, or the stack is full: then nothing has changed.
[[gnu::always_inline]] inline bool try_push(FastHeap& heap, void* block) noexcept {
  const SpanCell* cell = nullptr;
  if (!find_cell(heap, block, cell) || !cell->is_of(heap)) [[unlikely]]
    return false;
  return try_push_in(heap, *cell, block);
}

/// The same, and false for a block of another bin.
[[gnu::always_inline]] inline bool try_push_to(FastHeap& heap, std::size_t bin_index,
                                               void* block) noexcept {
  const SpanCell* cell = nullptr;
  if (!find_cell(heap, block, cell) || !cell->is_of(heap.bins.data()[bin_index])) [[unlikely]]
    return false;
  return try_push_in(heap, *cell, block);
}

}  // namespace allot::detail
