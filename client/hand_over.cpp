// Handing blocks over: expose, offer, adopt, retract. Each is one CAS on the own word.
//
// Every CAS loop here ends because the word leaves the state that the caller needs, or after a
// bounded number of tries if a member keeps scribbling. A thread that dies at any line leaves the
// word before or after its one CAS.

#include <algorithm>
#include <optional>

#include "client/debug_state.hpp"
#include "client/session_state.hpp"

namespace allot::detail {

using region::BlockRef;
using region::kGranuleBytes;
using region::kLargeBin;

namespace {

// Blocks whose first bytes adopt_n() asks for at a time: about what a processor waits for at once.
constexpr std::size_t kPrefetchedBlocks = 32;

}  // namespace

// Without a search, a lock or a debug mode: the own word of a block in a span of `heap`, this
// thread's, or in one that it met lately. nullptr if it is in neither.
inline Atomic<std::uint32_t>* SessionState::known_word(const ThreadHeap* heap,
                                                       std::uint64_t offset_bytes) noexcept {
  if (heap == nullptr || offset_bytes >= view_.granules() * kGranuleBytes) return nullptr;
  const std::byte* const block = mapping_.data() + offset_bytes;
  if (offset_bytes < heap->window_bytes) {
    const SpanCell& cell = cells_[offset_bytes / kGranuleBytes];
    Atomic<std::uint32_t>* own = nullptr;
    if (cell.is_of(*heap)) return find_own_word(cell, block, own) ? own : nullptr;
  }
  return heap->known().at(offset_bytes).word_of(block);
}

inline Errc SessionState::expose(const ThreadHeap* heap, const void* block, bool offer,
                                 Handle& handle) noexcept {
  const std::uint64_t offset = offset_of(block);
  if (auto* const own = known_word(heap, offset); own != nullptr) {
    return expose(*own, offset, offer, handle);
  }
  CallDeadline deadline(parts_.deadline);
  const auto exposed = expose(block, offer, deadline);
  if (exposed) {
    handle = *exposed;
    return Errc::kOk;
  }
  if (exposed.error() == Errc::kCorruptWord) debug_refused(Errc::kCorruptWord, block);
  return exposed.error().errc();
}

Expected<Handle> SessionState::expose(const void* block, bool offer) noexcept {
  Handle handle;
  const Errc errc = expose(knowing_heap(), block, offer, handle);
  return errc == Errc::kOk ? Expected<Handle>(handle) : Error(errc);
}

Expected<Handle> SessionState::expose(const void* block, bool offer,
                                      CallDeadline& deadline) noexcept {
  BlockRef found;
  if (const Errc errc = locate(block, found, deadline); errc != Errc::kOk) return Error(errc);
  if (debug_ != nullptr) debug_exposed(found, block);
  Handle handle;
  const Errc errc = expose(*found.word, offset_of(block), offer, handle);
  return errc == Errc::kOk ? Expected<Handle>(handle) : Error(errc);
}

inline Errc SessionState::expose(Atomic<std::uint32_t>& own, std::uint64_t offset, bool offer,
                                 Handle& handle) const noexcept {
  const std::uint32_t bits = OwnWord::kExposed | (offer ? OwnWord::kOffered : 0);
  std::uint32_t word = own.load_acquire();
  for (int tries = 0; tries < kTries; ++tries) {
    if (OwnWord::owner(word) != id_) return check_owner(word);
    // R10 pairs with A10 in take_offered(): what we wrote into the block is seen by its receiver.
    if ((word & bits) == bits || own.compare_exchange_acq_rel(word, word | bits)) {
      handle = Handle::make(parts_.welcome.region_tag, offset, OwnWord::generation(word));
      return Errc::kOk;
    }
  }
  return Errc::kCorruptWord;
}

Batch SessionState::offer_n(std::span<const void* const> blocks,
                            std::span<Handle> handles) noexcept {
  if (blocks.size() != handles.size()) return {0, Errc::kBadArgument};
  Batch batch;
  const ThreadHeap* const heap = knowing_heap();
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    handles[i] = Handle{};
    batch.note(expose(heap, blocks[i], true, handles[i]));
  }
  return batch;
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

// Nothing if its own word is not known without a search.
inline std::optional<Errc> SessionState::take_known(const ThreadHeap* heap, Handle handle,
                                                    bool only_own) noexcept {
  if (handle.region_tag() != parts_.welcome.region_tag) return {};
  auto* const own = known_word(heap, handle.offset_bytes());
  if (own == nullptr) return {};
  std::uint32_t before = 0;
  return take_offered(*own, handle, only_own, before);
}

Expected<void*> SessionState::take_offered(Handle handle, bool only_own,
                                           CallDeadline& deadline) noexcept {
  const auto block = [&] { return static_cast<void*>(mapping_.data() + handle.offset_bytes()); };
  if (const auto known = take_known(knowing_heap(), handle, only_own); known) {
    return *known == Errc::kOk ? Expected<void*>(block()) : Error(*known);
  }
  auto found = locate_handle(handle, deadline);
  if (!found) return found.error();
  std::uint32_t before = 0;
  const Errc errc = take_offered(*found->word, handle, only_own, before);
  if (errc != Errc::kOk) return Error(errc);
  if (debug_ != nullptr && OwnWord::owner(before) != id_) debug_adopted(*found, block());
  return block();
}

inline Errc SessionState::take_offered(Atomic<std::uint32_t>& own, Handle handle, bool only_own,
                                       std::uint32_t& before) noexcept {
  before = own.load_acquire();
  for (int tries = 0; tries < kTries; ++tries) {
    if (OwnWord::generation(before) != handle.generation() || !OwnWord::is_live(before)) {
      return Errc::kStaleHandle;
    }
    if (OwnWord::owner(before) == OwnWord::kKept) return Errc::kPublished;
    if (only_own && OwnWord::owner(before) != id_) return Errc::kNotOwner;
    if (!OwnWord::is_offered(before)) return Errc::kNotOffered;
    const std::uint32_t mine = OwnWord::make(id_, before) | OwnWord::kExposed;
    // A10 pairs with R10 in expose(): the giver's writes happen before our reads.
    if (own.compare_exchange_acq_rel(before, mine)) return Errc::kOk;
  }
  return Errc::kCorruptWord;
}

Batch SessionState::adopt_n(std::span<const Handle> handles, std::span<void*> blocks) noexcept {
  if (blocks.size() != handles.size()) return {0, Errc::kBadArgument};
  Batch batch;
  const ThreadHeap* heap = knowing_heap();
  for (std::size_t i = 0; i < handles.size(); ++i) {
    // No load begins before the adoption ahead of it has ended: so ask before for what comes after.
    if (heap != nullptr && i % kPrefetchedBlocks == 0) prefetch(handles.subspan(i));
    const Handle handle = handles[i];
    Errc errc = Errc::kOk;
    if (const auto known = take_known(heap, handle, false); known) {
      errc = *known;
      blocks[i] = mapping_.data() + handle.offset_bytes();
    } else if (const auto block = adopt(handle); block) {
      blocks[i] = *block;
    } else {
      errc = block.error().errc();
    }
    if (errc != Errc::kOk) blocks[i] = nullptr;
    batch.note(errc);
  }
  return batch;
}

// Those that are worth a look: any other is refused later.
void SessionState::prefetch(std::span<const Handle> handles) const noexcept {
  const std::uint64_t window_bytes = window_granules_.load_relaxed() * kGranuleBytes;
  for (const Handle handle : handles.first(std::min(handles.size(), kPrefetchedBlocks))) {
    if (handle.offset_bytes() >= window_bytes) continue;
    __builtin_prefetch(mapping_.data() + handle.offset_bytes());
  }
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
