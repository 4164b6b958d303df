// Freeing: one CAS on the own word of a block that is not of this thread's heap, or was exposed.
//
// Every CAS loop here ends because the word leaves the state that the caller needs, or after a
// bounded number of tries if a member keeps scribbling. A thread that dies at any line leaves the
// word before or after its one CAS; what follows (stack, hint, counter) is private or a hint.

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "client/debug_state.hpp"
#include "client/session_state.hpp"

namespace allot::detail {

namespace p = protocol;
using region::BlockRef;
using region::kGranuleBytes;

Errc SessionState::locate(std::uint64_t offset_bytes, BlockRef& found,
                          CallDeadline& deadline) noexcept {
  ThreadHeap* const heap = this_threads_heap();
  if (heap != nullptr &&
      heap->known().at(offset_bytes).find(mapping_.data() + offset_bytes, found)) {
    return Errc::kOk;
  }
  const std::uint64_t granule = offset_bytes / kGranuleBytes;
  // A9 pairs with R9 in open_window_locked(): what is below the size is mapped.
  std::uint64_t window = window_granules_.load_acquire();
  if (granule >= window) {
    if (granule >= view_.granules()) return Errc::kNotInRegion;
    const std::uint64_t high_water = view_.header().high_water_granules.load_acquire();
    if (granule >= high_water) return Errc::kNotABlock;
    auto lock = lock_open(deadline);
    if (!lock) return lock.error().errc();
    if (auto opened = open_window_locked(high_water); !opened) return Errc::kAddressSpace;
    window = window_granules_.load_relaxed();
  }
  Errc errc = view_.find_block(offset_bytes, window, found);
  if (errc == Errc::kNotABlock) {
    // A span may reach beyond our window; open it as far as the directory goes and look again.
    const std::uint64_t high_water = view_.header().high_water_granules.load_acquire();
    if (high_water <= window) return errc;
    auto lock = lock_open(deadline);
    if (!lock) return lock.error().errc();
    if (auto opened = open_window_locked(high_water); !opened) return Errc::kAddressSpace;
    errc = view_.find_block(offset_bytes, window_granules_.load_relaxed(), found);
  }
  if (errc == Errc::kOk && heap != nullptr) heap->remember(found, offset_bytes);
  return errc;
}

Errc SessionState::locate(const void* block, BlockRef& found, CallDeadline& deadline) noexcept {
  if (const Errc life = life_error(); life != Errc::kOk) return life;
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  const auto base = reinterpret_cast<std::uintptr_t>(mapping_.data());
  if (address < base || address - base >= view_.granules() * kGranuleBytes) {
    return Errc::kNotInRegion;
  }
  return locate(address - base, found, deadline);
}

Errc SessionState::check_owner(std::uint32_t word) const noexcept {
  const std::uint32_t owner = OwnWord::owner(word);
  if (owner == id_) return Errc::kOk;
  switch (owner) {
    case OwnWord::kFree:
    case OwnWord::kFreed:
    case OwnWord::kTaken: return Errc::kDoubleFree;
    case OwnWord::kKept: return Errc::kPublished;
    default: break;
  }
  return owner < OwnWord::kFirstSession ? Errc::kCorruptWord : Errc::kNotOwner;
}

// --- free ---

// A block of a span that this thread has met lately, as it does what it adopts; not one of its own heap.
inline bool SessionState::free_met(ThreadHeap* heap, const void* block) noexcept {
  if (heap == nullptr) return false;
  const KnownSpan& known = heap->known().at(offset_of(block));
  Atomic<std::uint32_t>* const own = known.word_of(block);
  if (own == nullptr) return false;
  const BlockRef& met = known.met();
  if (!is_granted(met) || cells_[met.span.first].is_of(*heap)) return false;
  std::uint32_t word = own->load_acquire();
  // R8 pairs with A8 in collect_span(): our last writes happen before the block's reuse.
  if (OwnWord::owner(word) != id_ ||
      !own->compare_exchange_acq_rel(word, OwnWord::after_free(word, OwnWord::kFreed))) {
    return false;
  }
  heap->count_free(counted_bin(met));
  set_hint(known.ledger());
  return true;
}

Errc SessionState::free(void* block) noexcept {
  return free_met(knowing_heap(), block) ? Errc::kOk : free_n({&block, 1}).errc;
}

Batch SessionState::free_n(std::span<void* const> blocks, std::uint32_t bin,
                           std::size_t block_bytes) noexcept {
  CallDeadline deadline(parts_.deadline);
  Batch batch;
  FreedRun run;
  for (void* const block : blocks) {
    FastHeap& heap = *tls_heaps[slot_];
    const bool pushed = bin == kAnyBin ? try_push(heap, block) || free_met(knowing_heap(), block)
                                       : try_push_to(heap, bin, block);
    const Errc errc = pushed || block == nullptr
                          ? Errc::kOk
                          : free_in_pool(bin, block_bytes, block, run, deadline);
    batch.note(errc);
    if (errc != Errc::kOk) debug_refused(errc, block);
  }
  end_run(run);
  return batch;
}

Errc SessionState::free_in_pool(std::uint32_t bin, std::size_t block_bytes, void* block,
                                FreedRun& run, CallDeadline& deadline) noexcept {
  region::BlockRef found;
  if (const Errc errc = locate(block, found, deadline); errc != Errc::kOk) return errc;
  const bool in_pool =
      bin == kAnyBin ||
      (is_of_session(found) ? found.carving.bin == bin : found.carving.block_bytes == block_bytes);
  return in_pool ? free(found, block, run, deadline) : Errc::kNotInPool;
}

// Another session's pool is none of ours: its blocks count as those of a class.
std::uint32_t SessionState::counted_bin(const BlockRef& found) const noexcept {
  const bool foreign_pool = !is_of_session(found) && found.carving.bin >= region::kFirstPoolBin;
  return foreign_pool ? region::bin_of(found.carving.block_bytes) : found.carving.bin;
}

bool SessionState::is_granted(const BlockRef& found) noexcept {
  return found.span.head.state == region::SpanState::kGranted;
}

bool SessionState::is_of_session(const BlockRef& found) const noexcept {
  return is_granted(found) && found.span.head.session == id_;
}

Errc SessionState::free(const BlockRef& found, void* block, FreedRun& run,
                        CallDeadline& deadline) noexcept {
  ThreadHeap* heap = this_threads_heap();
  if (heap == nullptr && heap_refused_.load_relaxed() == 0) {
    // For its counters; a thread that cannot have one does without.
    if (auto attached = heap_for_this_thread(deadline); attached) heap = *attached;
  }
  const std::uint32_t first = found.span.first;
  const bool of_session = is_of_session(found);
  const bool to_stack = of_session && heap != nullptr && cells_[first].is_of(*heap);
  const bool own_span =
      to_stack || (of_session && found.carving.kind == region::Carving::Kind::kLarge);
  const std::uint32_t next_owner = own_span ? OwnWord::kFree : OwnWord::kFreed;

  std::optional<DebuggedFree> debugged;
  if (debug_ != nullptr) debugged.emplace(*debug_);
  std::uint32_t word = found.word->load_acquire();
  for (int tries = 0; tries < kTries; ++tries) {
    if (const Errc errc = check_owner(word); errc != Errc::kOk) {
      return errc == Errc::kPublished ? Errc::kNotOwner : errc;
    }
    if (debugged && !debug_freeing(*debugged, found, block, word)) continue;
    // R8 pairs with A8 in collect_span(): our last writes happen before the block's reuse.
    if (found.word->compare_exchange_acq_rel(word, OwnWord::after_free(word, next_owner))) {
      if (debugged) debugged->done();
      count_free(counted_bin(found), heap);
      if (to_stack) {
        if (heap->push(cells_[first], block, found.word)) {
          give_back_surplus(*heap, found.carving.bin);
        }
      } else if (own_span) {
        keep_freed_large(first, deadline);
      } else {
        if (!run.is_empty && run.latest.span.first != first) end_run(run);
        run = {found, false, of_session};
      }
      return Errc::kOk;
    }
  }
  return Errc::kCorruptWord;
}

void SessionState::count_free(std::uint32_t bin, ThreadHeap* heap) noexcept {
  if (heap != nullptr) {
    heap->count_free(bin);
    return;
  }
  const std::lock_guard counting(counters_mutex_);
  if (session_heap_ != nullptr) session_heap_->count_free(bin);
}

void SessionState::end_run(FreedRun& run) noexcept {
  if (!run.is_empty) free_elsewhere(run.latest, run.of_session);
  run.is_empty = true;
}

// True if it was not set. One that is set is left alone, so that those who free do not wait for each
// other's stores; if it is about to be cleared, and its scan has passed the word, a later scan finds it.
bool SessionState::set_hint(region::SpanLedger& ledger) noexcept {
  if (ledger.hint.load_relaxed() != 0) return false;
  // R7 pairs with A7 in ThreadHeap::collect(): the word is freed before the hint is seen.
  ledger.hint.store_release(1);
  return true;
}

// The span's owner, or the daemon, is told where to look; a lost hint costs a later scan.
void SessionState::free_elsewhere(const BlockRef& found, bool of_session) noexcept {
  const bool is_news = set_hint(view_.span_ledger(found.span.first));
  if (of_session) return;
  const bool large = found.carving.kind == region::Carving::Kind::kLarge;
  const bool orphan = found.span.head.state == region::SpanState::kOrphan;
  // One message until the daemon has looked; it sweeps orphans anyway.
  if (large || (orphan && is_news)) parts_.channel->post(p::FreedElsewhere{found.span.first});
}

void* SessionState::reallocate(void* block, std::size_t size_bytes) noexcept {
  CallDeadline deadline(parts_.deadline);
  BlockRef found;
  Errc errc = size_bytes == 0 ? Errc::kSizeZero : locate(block, found, deadline);
  const std::uint32_t word = errc == Errc::kOk ? found.word->load_acquire() : 0;
  if (errc == Errc::kOk) errc = check_owner(word);
  if (errc != Errc::kOk) {
    debug_refused(errc, block);
    set_last_error(errc);
    return nullptr;
  }
  const std::uint64_t room = found.carving.block_bytes;
  // A block of the smallest size that holds it is less than half full only below 16 bytes.
  if (size_bytes <= room && (size_bytes > room / 2 || room == region::kMinBlockBytes)) return block;
  if (OwnWord::is_offered(word)) {
    set_last_error(Error(Errc::kBadArgument, "the block is offered: somebody may adopt it"));
    return nullptr;
  }
  void* const moved = allocate(size_bytes, 1);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min<std::uint64_t>(size_bytes, room));
  (void)free(block);
  return moved;
}

std::size_t SessionState::usable_size(const void* block) noexcept {
  CallDeadline deadline(parts_.deadline);
  BlockRef found;
  return locate(block, found, deadline) == Errc::kOk ? found.carving.block_bytes : 0;
}

}  // namespace allot::detail
