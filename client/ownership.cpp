// Who owns a block: free, expose, offer, adopt, retract. Each is one CAS on the own word.
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
using region::kLargeBin;

namespace {

constexpr int kTries = 16;

}  // namespace

Errc SessionState::locate(std::uint64_t offset_bytes, BlockRef& found,
                          CallDeadline& deadline) noexcept {
  ThreadHeap* const heap = this_threads_heap();
  if (heap != nullptr && heap->known().find(offset_bytes, found)) return Errc::kOk;
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
  if (errc == Errc::kOk && heap != nullptr) heap->set_known(found);
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

// Without a search, a lock or a debug mode: the own word of a block in a span of this thread's heap,
// or in the one that it met last. nullptr if it is in neither.
Atomic<std::uint32_t>* SessionState::known_word(std::uint64_t offset_bytes) noexcept {
  if (debug_ != nullptr) return nullptr;
  const ThreadHeap* const heap = this_threads_heap();
  if (heap == nullptr) return nullptr;
  if (offset_bytes < heap->window_bytes) {
    const SpanCell& cell = cells_[offset_bytes / kGranuleBytes];
    Atomic<std::uint32_t>* own = nullptr;
    if (cell.is_of(*heap)) {
      return find_own_word(cell, mapping_.data() + offset_bytes, own) ? own : nullptr;
    }
  }
  return heap->known().word_at(offset_bytes);
}

std::uint64_t SessionState::offset_of(const void* block) const noexcept {
  return reinterpret_cast<std::uintptr_t>(block) -
         reinterpret_cast<std::uintptr_t>(mapping_.data());
}

// --- free ---

Errc SessionState::free(void* block) noexcept {
  return free_adopted(block) ? Errc::kOk : free_n({&block, 1}).errc;
}

// A block of another session's span that this thread has met last, as it does what it adopts.
bool SessionState::free_adopted(const void* block) noexcept {
  if (debug_ != nullptr) return false;
  ThreadHeap* const heap = this_threads_heap();
  if (heap == nullptr) return false;
  const KnownSpan& known = heap->known();
  Atomic<std::uint32_t>* const own = known.word_at(offset_of(block));
  const BlockRef& met = known.met();
  if (own == nullptr || is_of_session(met) || !is_granted(met)) return false;
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

// --- handles ---

Expected<Handle> SessionState::expose(const void* block, bool offer) noexcept {
  const std::uint64_t offset = offset_of(block);
  if (auto* const own = known_word(offset); own != nullptr) return expose(*own, offset, offer);
  CallDeadline deadline(parts_.deadline);
  auto handle = expose(block, offer, deadline);
  if (!handle && handle.error() == Errc::kCorruptWord) debug_refused(Errc::kCorruptWord, block);
  return handle;
}

Expected<Handle> SessionState::expose(const void* block, bool offer,
                                      CallDeadline& deadline) noexcept {
  BlockRef found;
  if (const Errc errc = locate(block, found, deadline); errc != Errc::kOk) return Error(errc);
  if (debug_ != nullptr) debug_exposed(found, block);
  return expose(*found.word, offset_of(block), offer);
}

Expected<Handle> SessionState::expose(Atomic<std::uint32_t>& own, std::uint64_t offset,
                                      bool offer) const noexcept {
  const std::uint32_t bits = OwnWord::kExposed | (offer ? OwnWord::kOffered : 0);
  std::uint32_t word = own.load_acquire();
  for (int tries = 0; tries < kTries; ++tries) {
    if (const Errc errc = check_owner(word); errc != Errc::kOk) return Error(errc);
    // R10 pairs with A10 in take_offered(): what we wrote into the block is seen by its receiver.
    if ((word & bits) == bits || own.compare_exchange_acq_rel(word, word | bits)) {
      return Handle::make(parts_.welcome.region_tag, offset, OwnWord::generation(word));
    }
  }
  return Error(Errc::kCorruptWord);
}

Expected<BlockRef> SessionState::locate_handle(Handle handle, CallDeadline& deadline) noexcept {
  if (const Errc life = life_error(); life != Errc::kOk) return Error(life);
  if (!handle) return Error(Errc::kBadArgument, "the empty handle");
  if (handle.region_tag() != parts_.welcome.region_tag) return Error(Errc::kForeignRegion);
  BlockRef found;
  const Errc errc = locate(handle.offset_bytes(), found, deadline);
  if (errc == Errc::kNotABlock || errc == Errc::kInteriorPointer) return Error(Errc::kStaleHandle);
  if (errc != Errc::kOk) return Error(errc);
  return found;
}

Expected<void*> SessionState::resolve(Handle handle) noexcept {
  CallDeadline deadline(parts_.deadline);
  return resolve(handle, deadline);
}

Expected<void*> SessionState::resolve(Handle handle, CallDeadline& deadline) noexcept {
  auto found = locate_handle(handle, deadline);
  if (!found) return found.error();
  // A11 pairs with R10: what the owner wrote before it gave the handle away.
  const std::uint32_t word = found->word->load_acquire();
  if (OwnWord::generation(word) != handle.generation() || !OwnWord::is_live(word)) {
    return Error(Errc::kStaleHandle);
  }
  return static_cast<void*>(mapping_.data() + handle.offset_bytes());
}

Expected<void*> SessionState::adopt(Handle handle) noexcept {
  CallDeadline deadline(parts_.deadline);
  return take_offered(handle, false, deadline);
}

Expected<void*> SessionState::retract(Handle handle) noexcept {
  CallDeadline deadline(parts_.deadline);
  return take_offered(handle, true, deadline);
}

Expected<void*> SessionState::take_offered(Handle handle, bool only_own,
                                           CallDeadline& deadline) noexcept {
  if (handle.region_tag() == parts_.welcome.region_tag) {
    if (auto* const own = known_word(handle.offset_bytes()); own != nullptr) {
      return take_offered(*own, handle, only_own, nullptr);
    }
  }
  auto found = locate_handle(handle, deadline);
  if (!found) return found.error();
  return take_offered(*found->word, handle, only_own, &*found);
}

Expected<void*> SessionState::take_offered(Atomic<std::uint32_t>& own, Handle handle, bool only_own,
                                           const BlockRef* debugged) noexcept {
  std::uint32_t word = own.load_acquire();
  for (int tries = 0; tries < kTries; ++tries) {
    if (OwnWord::generation(word) != handle.generation() || !OwnWord::is_live(word)) {
      return Error(Errc::kStaleHandle);
    }
    if (OwnWord::owner(word) == OwnWord::kKept) return Error(Errc::kPublished);
    if (only_own && OwnWord::owner(word) != id_) return Error(Errc::kNotOwner);
    if (!OwnWord::is_offered(word)) return Error(Errc::kNotOffered);
    const std::uint32_t mine = OwnWord::make(id_, word) | OwnWord::kExposed;
    // A10 pairs with R10 in expose(): the giver's writes happen before our reads.
    if (own.compare_exchange_acq_rel(word, mine)) {
      void* const block = mapping_.data() + handle.offset_bytes();
      if (debug_ != nullptr && OwnWord::owner(word) != id_) debug_adopted(*debugged, block);
      return block;
    }
  }
  return Error(Errc::kCorruptWord);
}

std::vector<Handle> SessionState::offers() {
  std::vector<Handle> out;
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return out;
  if (!open_window_locked(view_.header().high_water_granules.load_acquire())) return out;
  const std::uint64_t window = window_granules_.load_relaxed();
  for (std::uint64_t granule = 0; granule < window;) {
    const auto span = view_.find_span(granule, window);
    if (!span || span->first != granule) {
      ++granule;
      continue;
    }
    granule += span->head.granules;
    const region::Carving carving = view_.carving_of(*span);
    for (std::uint32_t i = 0; i < carving.block_count; ++i) {
      const std::uint32_t word = view_.word(span->first, i).load_acquire();
      if (OwnWord::owner(word) != id_ || !OwnWord::is_offered(word)) continue;
      const std::uint64_t in_span =
          carving.bin == kLargeBin ? 0 : region::block_offset(carving.cut, i);
      out.push_back(Handle::make(parts_.welcome.region_tag, span->first * kGranuleBytes + in_span,
                                 OwnWord::generation(word)));
    }
  }
  return out;
}

}  // namespace allot::detail
