#include "client/thread_heap.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "client/library_scope.hpp"
#include "client/span_cell.hpp"
#include "shared/platform/random.hpp"

namespace allot {

using detail::FreeBlock;
using detail::HeapBin;
using detail::OwnWord;
using detail::SpanCell;
using region::CarveWord;
using region::kClassCount;
using region::kFirstPoolBin;
using region::kSizeClasses;

static_assert(region::kBinsPerHeap == detail::kMaxHeapBins);
static_assert(std::uint64_t{1} << detail::kGranuleShift == region::kGranuleBytes);
static_assert(region::kMaxMediumBytes == detail::kMaxFastBytes);

namespace {

// Spans that one refill looks at before it asks for a new one.
constexpr std::size_t kSpansPerCollect = 32;
// A refill stops looking once it found this many blocks.
constexpr std::ptrdiff_t kEnoughBlocks = 64;
// Wholly free spans of a bin that stay when others go back, if it had no more than eight times
// as many: who frees so much may soon want it again.
constexpr std::size_t kSurplusSpans = 16;

// The entry below the first one, as F4 asks for, and the blocks.
constexpr std::size_t stack_entries(const region::SizeClass& cut) {
  return 1 + stack_capacity(cut);
}

constexpr auto kStackOffsets = [] {
  std::array<std::size_t, kClassCount + 1> offsets{};
  for (std::size_t bin = 0; bin < kClassCount; ++bin) {
    offsets.at(bin + 1) = offsets.at(bin) + stack_entries(kSizeClasses.at(bin));
  }
  return offsets;
}();

FreeBlock* map_stacks(std::size_t entries) noexcept {
  void* const stacks = ::mmap(nullptr, entries * sizeof(FreeBlock), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return stacks == MAP_FAILED ? nullptr : static_cast<FreeBlock*>(stacks);
}

// Asks for the first bytes of the blocks of a refilled stack in the order in which they go out: their
// lines are in the caches of those who freed them, and a store there holds up all stores behind it.
void prefetch_to_write(const HeapBin& stack) noexcept {
  for (const FreeBlock* entry = stack.top; entry != stack.bottom;) {
    --entry;
#ifdef __x86_64__
    // What __builtin_prefetch() would ask for by default is a line to read.
    asm volatile("prefetchw %0" : : "m"(*static_cast<const std::byte*>(entry->block)));
#else
    __builtin_prefetch(entry->block, 1);
#endif
  }
}

void make_stack(HeapBin& bin, FreeBlock* memory, const region::SizeClass& cut) noexcept {
  *memory = detail::no_block;
  bin.top = bin.bottom = memory + 1;
  bin.limit = memory + stack_entries(cut);
}

}  // namespace

ThreadHeap* ThreadHeap::create() noexcept {
  // Never unmapped: the heap is used again by later threads of the process.
  FreeBlock* const stacks = map_stacks(kStackOffsets.back());
  if (stacks == nullptr) return nullptr;
  auto* const heap = new (std::nothrow) ThreadHeap();
  if (heap == nullptr) return nullptr;
  heap->small_bins = region::kBinTables.by_16;
  heap->stacks_ = stacks;
  heap->detach();
  return heap;
}

void ThreadHeap::empty_stacks() noexcept {
  for (HeapBin& bin : bins) {
    bin.top = bin.bottom;
    bin.spare = nullptr;
    bin.recent = FreeBlock{};
  }
}

void ThreadHeap::attach(const Place& place) noexcept {
  me = OwnWord::make(place.session_id, 0);
  turn = me ^ OwnWord::make(OwnWord::kFree, 0);
  id = place.heap_id;
  data = place.data;
  window_bytes = 0;
  arriving.store_relaxed(kNoSpan);
  cells = place.cells;
  view_ = place.view;
  for (std::uint32_t bin = 0; bin < region::kBinsPerHeap; ++bin) {
    bins[bin].counters = reinterpret_cast<detail::HeapCounters*>(&counters_of(bin));
  }
  session = place.session;
}

void ThreadHeap::detach() noexcept {
  session = nullptr;
  me = turn = 0;
  data = nullptr;
  window_bytes = 0;
  cells = nullptr;
  view_ = nullptr;
  known_.forget();
  empty_stacks();
  for (std::size_t i = 0; i < pool_cuts_.size(); ++i) {
    if (pool_cuts_[i].block_bytes == 0) continue;
    HeapBin& bin = bins[kFirstPoolBin + i];
    ::munmap(bin.bottom - 1, stack_entries(pool_cuts_[i]) * sizeof(FreeBlock));
    bin = HeapBin{};
    pool_cuts_[i] = region::SizeClass{};
  }
  for (auto& spans : spans_) spans.clear();
  cursors_.fill(0);
  forgotten_.fill(0);
}

bool ThreadHeap::open_pool(std::uint32_t bin, const PoolShape& pool) noexcept {
  const region::SizeClass cut = region::size_class_for(pool.block_bytes);
  FreeBlock* const stack = map_stacks(stack_entries(cut));
  if (stack == nullptr) return false;
  make_stack(bins[bin], stack, cut);
  pool_cuts_[bin - kFirstPoolBin] = cut;
  publish_pool(bin, pool);
  return true;
}

void ThreadHeap::publish_pool(std::uint32_t bin, const PoolShape& pool) noexcept {
  region::BinCounters& counters = counters_of(bin);
  std::array<std::uint64_t, 2> name{};
  static_assert(sizeof(name) == sizeof(pool.name));
  std::memcpy(name.data(), pool.name.data(), sizeof(name));
  for (std::size_t i = 0; i < name.size(); ++i) counters.pool[i].store_relaxed(name[i]);
  // R26 pairs with A26 in the list of bins: a size is seen with the name before it.
  counters.block_bytes.store_release(pool.block_bytes);
}

SpanCell ThreadHeap::cell_of(std::uint32_t bin, std::uint32_t first) noexcept {
  const region::SizeClass& size_class = cut_of(bin);
  // A class that a heap never has a span of costs it no page for a stack.
  if (bins[bin].limit == HeapBin{}.limit) {
    make_stack(bins[bin], stacks_ + kStackOffsets[bin], size_class);
  }
  SpanCell cell = make_span_cell(*view_, data, first, size_class);
  cell.heap = this;
  cell.bin = &bins[bin];
  return cell;
}

void ThreadHeap::carve(std::uint32_t bin, std::uint32_t first, std::size_t new_window_bytes) {
  const LibraryScope inside;
  const region::SizeClass& size_class = cut_of(bin);
  const SpanCell cell = cell_of(bin, first);
  std::byte* const base = cell.base;
  auto* const words = cell.words;

  // A new carving starts at random generations, so that handles of an earlier one stay stale.
  auto generation = static_cast<std::uint32_t>(platform::random_u64());
  for (std::uint32_t i = 0; i < size_class.block_count; ++i) {
    words[i].store_relaxed(OwnWord::make(OwnWord::kFree, generation));
    generation += 0x9E37'79B1U;
  }
  // R2 pairs with A2 in RegionView::carving_of(): words before the carve word.
  view_->span_ledger(first).carve.store_release(
      bin < kClassCount ? CarveWord::blocks(bin) : CarveWord::pool(bin, size_class.block_bytes));

  for (std::uint32_t i = 0; i < cell.granules; ++i) cells[first + i] = cell;
  window_bytes = std::max(window_bytes, new_window_bytes);
  spans_[bin].push_back(first);
  region::BinCounters& counters = counters_of(bin);
  counters.fills.add_single_writer(1);
  // None of what it had was to be found free.
  counters.peak.store_relaxed(
      std::max(counters.peak.load_relaxed(), counters.granted.load_relaxed()));
  counters.granted.add_single_writer(size_class.block_count);
  HeapBin& stack = bins[bin];
  const auto put = [&](std::uint32_t i) {
    *stack.top++ = FreeBlock{base + region::block_offset(size_class, i), &words[i]};
  };
  // Lowest address first, but block 0 last: it, its own word and the table entry of many a granule
  // lie at the same place of a page, and loads of one then wait for stores to the other.
  put(0);
  for (std::uint32_t i = size_class.block_count - 1; i > 0; --i) put(i);
  // R30 pairs with A30 in SessionState::known_spans_locked(): the cells before the span has arrived.
  arriving.store_release(kNoSpan);
}

void ThreadHeap::adopt_span(std::uint32_t bin, std::uint32_t first, std::size_t new_window_bytes) {
  detail::SpanCell cell = cell_of(bin, first);
  cell.unlisted = 1;
  for (std::uint32_t i = 0; i < cell.granules; ++i) cells[first + i].become(cell);
  window_bytes = std::max(window_bytes, new_window_bytes);
  // The next refill looks there first.
  cursors_[bin] = spans_[bin].empty() ? 0 : spans_[bin].size() - 1;
  spans_[bin].push_back(first);
  counters_of(bin).granted.add_single_writer(cut_of(bin).block_count);
}

bool ThreadHeap::collect(std::uint32_t bin) {
  const auto& spans = spans_[bin];
  HeapBin& stack = bins[bin];
  std::size_t& cursor = cursors_[bin];
  const auto next = [&] {
    cursor = cursor + 1 < spans.size() ? cursor + 1 : 0;
    return spans[cursor];
  };
  const std::size_t looks = std::min(spans.size(), kSpansPerCollect);
  for (std::size_t i = 0; i < looks; ++i) {
    const std::uint32_t first = next();
    auto& hint = view_->span_ledger(first).hint;
    // Relaxed look: a hint that is missed now is found at a later refill.
    if (cells[first].unlisted == 0 && hint.load_relaxed() == 0) continue;
    // A7 pairs with R7 in SessionState::set_hint(): the hint is cleared before the scan, so
    // a block freed during it sets the hint again.
    (void)hint.exchange_acquire(0);
    if (!collect_span(bin, first)) break;
    if (stack.top - stack.bottom >= kEnoughBlocks) {
      // The next refill goes on in a span that was not looked through.
      if (cells[first].unlisted != 0) cursor = (cursor == 0 ? spans.size() : cursor) - 1;
      break;
    }
  }
  // Before a new span is asked for: one that has no hint. A process killed between its free and the
  // hint leaves a block that nothing else would find.
  if (stack.top == stack.bottom && !spans.empty()) (void)collect_span(bin, next());
  if (stack.top == stack.bottom) return false;
  prefetch_to_write(stack);
  counters_of(bin).fills.add_single_writer(1);
  return true;
}

// False once the stack is full. What is left to look at is looked at in a later refill, from where
// this one ends: who frees in the order of allocation is met where he is.
bool ThreadHeap::collect_span(std::uint32_t bin, std::uint32_t first) {
  const region::SizeClass& size_class = cut_of(bin);
  SpanCell& cell = cells[first];
  HeapBin& stack = bins[bin];
  cell.unlisted = 0;
  std::uint32_t i = cell.next;
  for (std::uint32_t looked = 0; looked < size_class.block_count; ++looked, ++i) {
    if (i == size_class.block_count) i = 0;
    if (stack.top - stack.bottom >= kEnoughBlocks) {
      cell.next = i;
      cell.unlisted = 1;
      return true;
    }
    // A8 pairs with R8 in SessionState::free(): the freeing process's last writes happen before reuse.
    const std::uint32_t word = cell.words[i].load_acquire();
    const std::uint32_t owner = OwnWord::owner(word);
    if (owner != OwnWord::kFree && owner != OwnWord::kFreed) continue;
    if (word != OwnWord::make(owner, word)) continue;  // a flag: damaged, and never handed out
    if (stack.top == stack.limit) {
      cell.unlisted = 1;
      return false;
    }
    // A store will do: nobody else moves a small or medium block's word out of freed (own_word.hpp).
    // R8 pairs with A8: whoever has the span after us sees what we saw of the last writes.
    if (owner == OwnWord::kFreed) {
      cell.words[i].store_release(OwnWord::make(OwnWord::kFree, word));
    }
    *stack.top++ = FreeBlock{cell.base + region::block_offset(size_class, i), &cell.words[i]};
  }
  return true;
}

std::size_t ThreadHeap::drop_damaged(std::uint32_t bin) noexcept {
  const auto is_damaged = [](const FreeBlock& entry) {
    const std::uint32_t word = entry.word->load_relaxed();
    return (word & ~OwnWord::kGenerationMask) != OwnWord::make(OwnWord::kFree, 0);
  };
  HeapBin& stack = bins[bin];
  std::size_t dropped = 0;
  if (stack.spare != nullptr && is_damaged(stack.recent)) {
    stack.spare = nullptr;
    ++dropped;
  }
  for (; stack.top != stack.bottom && is_damaged(stack.top[-1]); ++dropped) --stack.top;
  return dropped;
}

bool ThreadHeap::push(const SpanCell& cell, void* block,
                      detail::Atomic<std::uint32_t>* word) noexcept {
  HeapBin& stack = *cell.bin;
  const bool is_full = stack.top == stack.limit;
  if (is_full) forget_half(stack);
  *stack.top++ = FreeBlock{block, word};
  if (!is_full) return false;
  // A scan of all words of the bin is worth a quarter of its blocks.
  const auto bin = static_cast<std::uint32_t>(&stack - bins.data());
  return forgotten_[bin] > std::uint64_t{kSurplusSpans} * cut_of(bin).block_count &&
         forgotten_[bin] > counters_of(bin).granted.load_relaxed() / 4;
}

// The older half leaves the stack; their words say free, so a later scan finds them again.
void ThreadHeap::forget_half(HeapBin& bin) noexcept {
  FreeBlock* const middle = bin.bottom + (bin.top - bin.bottom) / 2;
  for (const FreeBlock* entry = bin.bottom; entry != middle; ++entry) {
    const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(entry->block) - data);
    cells[cells[offset >> detail::kGranuleShift].first].unlisted = 1;
  }
  forgotten_[static_cast<std::size_t>(&bin - bins.data())] +=
      static_cast<std::uint64_t>(middle - bin.bottom);
  bin.top = std::copy(middle, bin.top, bin.bottom);
}

bool ThreadHeap::is_all_free(std::uint32_t bin, std::uint32_t first) const noexcept {
  for (std::uint32_t i = 0; i < cut_of(bin).block_count; ++i) {
    const std::uint32_t owner = OwnWord::owner(cells[first].words[i].load_acquire());
    if (owner != OwnWord::kFree && owner != OwnWord::kFreed) return false;
  }
  return true;
}

void ThreadHeap::release_free_spans(std::vector<std::uint32_t>& out, std::uint32_t wanted_bin) {
  for (std::uint32_t bin = 0; bin < spans_.size(); ++bin) {
    release_free_spans_of(bin, bin == wanted_bin ? 1 : 0, out);
  }
}

void ThreadHeap::release_surplus(std::uint32_t bin, std::vector<std::uint32_t>& out) {
  release_free_spans_of(bin, std::max(kSurplusSpans, spans_[bin].size() / 8), out);
}

void ThreadHeap::release_free_spans_of(std::uint32_t bin, std::size_t spans_to_keep,
                                       std::vector<std::uint32_t>& out) {
  const LibraryScope inside;
  auto& spans = spans_[bin];
  const std::size_t before = spans.size();
  std::erase_if(spans, [&](std::uint32_t first) {
    if (!is_all_free(bin, first)) return false;
    if (spans_to_keep > 0) {
      --spans_to_keep;
      return false;
    }
    const std::uint32_t granules = cells[first].granules;
    for (std::uint32_t i = 0; i < granules; ++i) cells[first + i] = SpanCell{};
    out.push_back(first);
    return true;
  });
  cursors_[bin] = 0;
  forgotten_[bin] = 0;
  const std::size_t released = before - spans.size();
  if (released == 0) return;
  const auto is_gone = [&](const FreeBlock& entry) {
    const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(entry.block) - data);
    return cells[offset >> detail::kGranuleShift].granules == 0;
  };
  HeapBin& stack = bins[bin];
  stack.top = std::remove_if(stack.bottom, stack.top, is_gone);
  if (stack.recent.block != nullptr && is_gone(stack.recent)) {
    stack.recent = FreeBlock{};
    stack.spare = nullptr;
  }
  auto& granted = counters_of(bin).granted;
  granted.store_relaxed(granted.load_relaxed() - released * cut_of(bin).block_count);
}

}  // namespace allot
