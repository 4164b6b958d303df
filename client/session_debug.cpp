// Debug modes: what a session tells its DebugState, and what it reports.
//
// Called from the slow paths, which all calls take while a mode is on: the fast paths find no heap.
// docs/debugging.md says what each mode is for.

#include <algorithm>
#include <utility>
#include <vector>

#include "client/debug_state.hpp"
#include "client/heap_profile.hpp"
#include "client/session_call.hpp"
#include "client/session_state.hpp"

namespace allot::detail {

using region::BlockRef;
using region::kGranuleBytes;

namespace {

std::optional<Misuse::Kind> kind_of(Errc refused) noexcept {
  switch (refused) {
    case Errc::kDoubleFree: return Misuse::Kind::kDoubleFree;
    case Errc::kNotOwner: return Misuse::Kind::kForeignFree;
    case Errc::kNotABlock:
    case Errc::kInteriorPointer: return Misuse::Kind::kBadPointer;
    case Errc::kNotInPool: return Misuse::Kind::kWrongPool;
    case Errc::kCorruptWord: return Misuse::Kind::kCorruptWord;
    default: return std::nullopt;
  }
}

DebuggedBlock debugged(const BlockRef& found, const void* block, std::uint32_t word) noexcept {
  auto* const base = static_cast<std::byte*>(const_cast<void*>(block));
  return {base, found.carving.block_bytes, OwnWord::generation(word)};
}

}  // namespace

void SessionState::debug_allocated(void* block) noexcept {
  CallDeadline deadline(parts_.deadline);
  BlockRef found;
  if (locate(block, found, deadline) != Errc::kOk) return;
  // Relaxed: this thread has stored it.
  const auto taken = debugged(found, block, found.word->load_relaxed());
  auto write = debug_->allocated(taken);
  if (!write) return;
  Misuse misuse = misuse_of(Misuse::Kind::kWrittenAfterFree, block);
  misuse.offset_bytes = write->offset_bytes;
  misuse.allocated_at = std::move(write->places.allocated);
  misuse.freed_at = std::move(write->places.freed);
  debug_->report(misuse);
}

void SessionState::debug_adopted(const BlockRef& found, void* block) noexcept {
  debug_->adopted(debugged(found, block, found.word->load_relaxed()));
}

void SessionState::debug_exposed(const BlockRef& found, const void* block) noexcept {
  debug_->exposed(debugged(found, block, 0));
}

// False if the word has changed. An offered block may be adopted at any time, so that it must not be
// filled: the offer is taken back first.
bool SessionState::debug_freeing(DebuggedFree& debugged_free, const BlockRef& found, void* block,
                                 std::uint32_t& word) noexcept {
  if (OwnWord::is_offered(word)) {
    const std::uint32_t retracted = word & ~OwnWord::kOffered;
    // R10 pairs with A10 in take_offered(): as a retract.
    if (!found.word->compare_exchange_acq_rel(word, retracted)) return false;
    word = retracted;
  }
  debugged_free.begin(debugged(found, block, word), is_of_session(found));
  return true;
}

// --- ranges ---

void SessionState::debug_forget(std::uint32_t first, std::uint64_t granules) noexcept {
  if (debug_ == nullptr) return;
  debug_->forget(mapping_.data() + first * kGranuleBytes, granules * kGranuleBytes);
}

void SessionState::debug_forget_returned(std::uint32_t first, std::uint32_t granules) noexcept {
  if (debug_ == nullptr) return;
  if (granules != 0) {
    debug_forget(first, granules);
    return;
  }
  // What lies beyond the window was never used.
  const auto span = view_.find_span(first, window_granules_.load_relaxed());
  if (span && span->first == first) debug_forget(first, span->head.granules);
}

// --- reports ---

void SessionState::debug_refused(Errc errc, const void* block) noexcept {
  if (debug_ == nullptr || !debug_->options().report) return;
  if (const auto kind = kind_of(errc); kind) debug_->report(misuse_of(*kind, block));
}

Misuse SessionState::misuse_of(Misuse::Kind kind, const void* block) noexcept {
  Misuse misuse;
  misuse.kind = kind;
  misuse.block = block;
  CallDeadline deadline(parts_.deadline);
  BlockRef found;
  if (locate(block, found, deadline) != Errc::kOk) return misuse;
  const std::uint32_t word = found.word->load_acquire();
  misuse.size_bytes = found.carving.block_bytes;
  misuse.own_word = word;
  misuse.generation = OwnWord::generation(word);
  misuse.owner = OwnWord::owner(word);
  auto places = debug_->places_of(debugged(found, block, word).base);
  misuse.allocated_at = std::move(places.allocated);
  misuse.freed_at = std::move(places.freed);
  if (!OwnWord::is_session(word)) return misuse;
  const region::SessionEntry& owner = view_.session(misuse.owner);
  // A3 pairs with R3 in open_session(): pid and label belong to the session that is there.
  if (owner.state.load_acquire() == 0) return misuse;
  misuse.owner_pid = owner.pid;
  const auto end = std::find(owner.label.begin(), owner.label.end(), '\0');
  misuse.owner_label.assign(owner.label.begin(), end);
  return misuse;
}

bool SessionState::drop_damaged(ThreadHeap& heap, std::uint32_t bin) noexcept {
  if (debug_ == nullptr || !debug_->options().report) return heap.drop_damaged(bin) > 0;
  const HeapBin& stack = heap.bins[bin];  // no spare: only fast paths keep one
  const std::vector<FreeBlock> before(stack.bottom, stack.top);
  const std::size_t dropped = heap.drop_damaged(bin);
  for (std::size_t i = 0; i < dropped; ++i) {
    debug_refused(Errc::kCorruptWord, before[before.size() - 1 - i].block);
  }
  return dropped > 0;
}

// --- the profile ---

Expected<std::string> SessionState::heap_profile() {
  if (const Errc life = life_error(); life != Errc::kOk) return Error(life);
  if (debug_ == nullptr || debug_->options().sample_bytes == 0) {
    return Error(Errc::kBadArgument, "nothing is sampled: see DebugOptions::sample_bytes");
  }
  const std::uint64_t window = window_granules_.load_acquire();
  const auto samples = debug_->samples([&](const DebuggedBlock& block) {
    const auto offset = static_cast<std::uint64_t>(block.base - mapping_.data());
    BlockRef found;
    if (view_.find_block(offset, window, found) != Errc::kOk) return false;
    const std::uint32_t word = found.word->load_acquire();
    return OwnWord::owner(word) == id_ && OwnWord::generation(word) == block.generation;
  });
  return heap_profile_text(samples, debug_->options().sample_bytes);
}

}  // namespace allot::detail

namespace allot {

Expected<std::string> Session::heap_profile() const {
  return detail::SessionCall(*state_)->heap_profile();
}

Expected<void> Session::write_heap_profile(const std::filesystem::path& path) const {
  auto text = heap_profile();
  if (!text) return text.error();
  return detail::write_profile(path, *text);
}

}  // namespace allot
