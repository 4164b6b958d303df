// Names of published blocks: publish, find (which pins), unpin, unpublish; clear one in chunks.

#include <algorithm>
#include <cassert>

#include "daemon/core/region_core.hpp"
#include "shared/region/chunk_words.hpp"

namespace allot::core {

using detail::OwnWord;
using region::ChunkWords;

namespace {

constexpr std::uint32_t kept_word(Handle handle) noexcept {
  return OwnWord::make(OwnWord::kKept, handle.generation()) | OwnWord::kExposed;
}

}  // namespace

Expected<void> RegionCore::publish(std::uint32_t session, std::string_view name, Handle handle,
                                   std::uint64_t now_unix_ns) {
  auto record = live_session(session);
  if (!record) return record.error();
  if (!protocol::is_valid_name(name, region::kNameBytes)) return Error(Errc::kBadName);
  if (names_.contains(name)) return Error(Errc::kNameTaken, std::string(name));
  if (names_.size() + hidden_.size() >= std::min(limits_.max_names, region::kNameLimit)) {
    ++totals_.refusals;
    return Error(Errc::kTooManyNames, "max_names = " + std::to_string(limits_.max_names));
  }
  const uid_t uid = (*record)->peer.uid;
  const auto is_of_uid = [uid](const NameRecord& name_record) { return name_record.uid == uid; };
  const auto of_uid = std::count_if(names_.begin(), names_.end(),
                                    [&](const auto& entry) { return is_of_uid(entry.second); }) +
                      std::count_if(hidden_.begin(), hidden_.end(), is_of_uid);
  if (of_uid >= limits_.max_names_per_uid) {
    ++totals_.refusals;
    return Error(Errc::kTooManyNames,
                 "max_names_per_uid = " + std::to_string(limits_.max_names_per_uid));
  }
  if (handle.region_tag() != tag_) return Error(Errc::kForeignRegion);
  region::BlockRef block;
  const Errc found = view_.find_block(handle.offset_bytes(), high_water_, block);
  if (found != Errc::kOk) return Error(found == Errc::kNotInRegion ? found : Errc::kStaleHandle);

  std::uint32_t word = block.word->load_acquire();
  if (OwnWord::generation(word) != handle.generation()) return Error(Errc::kStaleHandle);
  if (OwnWord::owner(word) == OwnWord::kKept) return Error(Errc::kPublished);
  if (OwnWord::owner(word) != session) return Error(Errc::kNotOwner);
  if (!OwnWord::is_offered(word)) return Error(Errc::kNotOffered);
  NameRecord made;
  while (name_slots_.test(made.slot)) ++made.slot;
  while (vault_names_.test(made.vault_index)) ++made.vault_index;
  made.handle = handle;
  made.uid = uid;
  made.word = block.span.first * std::uint64_t{region::kWordsPerGranule} + block.index;
  region::NameEntry& entry = view_.name(made.slot);
  entry.handle = handle.bits();
  entry.size_bytes = block.carving.block_bytes;
  entry.published_unix_ns = now_unix_ns;
  entry.uid = uid;
  protocol::set_text(entry.name, name);
  VaultName& kept = vault_.name(made.vault_index);
  kept = {NameState::kNone, uid, handle.bits(), made.word, made.slot, {}};
  then();
  kept.state = NameState::kPending;
  then();
  // One try: if the word changed, its owner took the offer back or somebody adopted the block.
  if (!block.word->compare_exchange_acq_rel(word, kept_word(handle))) {
    kept.state = NameState::kNone;
    return Error(Errc::kNotOffered);
  }
  add_name(name, std::move(made));
  return {};
}

void RegionCore::add_name(std::string_view name, NameRecord record) {
  name_slots_.set(record.slot);
  vault_names_.set(record.vault_index);
  kept_words_.insert(record.word);
  view_.name(record.slot).state.store_release(1);
  then();
  vault_.name(record.vault_index).state = NameState::kVisible;
  names_.emplace(std::string(name), std::move(record));
}

void RegionCore::set_pin(NameRecord& record, std::uint32_t session, bool pinned) {
  std::uint64_t& pins = vault_.name(record.vault_index).pins.at(session / 64);
  const std::uint64_t bit = std::uint64_t{1} << session % 64;
  pins = pinned ? pins | bit : pins & ~bit;
  then();
  if (pinned) {
    record.pins.insert(session);
  } else {
    record.pins.erase(session);
  }
}

Expected<protocol::Found> RegionCore::find(std::uint32_t session, std::string_view name) {
  auto record = live_session(session);
  if (!record) return record.error();
  const auto found = names_.find(name);
  if (found == names_.end()) return Error(Errc::kNameUnknown, std::string(name));
  set_pin(found->second, session, true);
  return protocol::Found{found->second.handle.bits(), view_.name(found->second.slot).size_bytes};
}

Expected<protocol::Found> RegionCore::next_pin(std::uint32_t session, std::uint64_t above) {
  auto caller = live_session(session);
  if (!caller) return caller.error();
  const NameRecord* next = nullptr;
  const auto look_at = [&](const NameRecord& record) {
    if (record.handle.bits() <= above || !record.pins.contains(session)) return;
    if (next == nullptr || record.handle.bits() < next->handle.bits()) next = &record;
  };
  for (const auto& [name, record] : names_) look_at(record);
  for (const NameRecord& record : hidden_) look_at(record);
  return next == nullptr ? protocol::Found{} : protocol::Found{next->handle.bits(), 0};
}

Expected<void> RegionCore::unpin(std::uint32_t session, Handle handle, std::uint64_t now_ns) {
  for (auto& [name, record] : names_) {
    if (record.handle != handle || !record.pins.contains(session)) continue;
    set_pin(record, session, false);
    return {};
  }
  for (auto it = hidden_.begin(); it != hidden_.end(); ++it) {
    if (it->handle != handle || !it->pins.contains(session)) continue;
    set_pin(*it, session, false);
    if (it->pins.empty()) {
      free_kept_block(*it, now_ns);
      hidden_.erase(it);
    }
    return {};
  }
  return Error(Errc::kNameUnknown, "this session has not found the block");
}

Expected<void> RegionCore::unpublish(std::uint32_t session, std::string_view name, Handle handle,
                                     bool administrator, std::uint64_t now_ns) {
  const auto found = names_.find(name);
  if (found == names_.end()) return Error(Errc::kNameUnknown, std::string(name));
  if (found->second.handle != handle) return Error(Errc::kStaleHandle, std::string(name));
  if (!administrator) {
    auto record = live_session(session);
    if (!record) return record.error();
    if ((*record)->peer.uid != found->second.uid) return Error(Errc::kNotOwner, std::string(name));
  }
  NameRecord record = std::move(found->second);
  names_.erase(found);
  hide(record, now_ns);
  return {};
}

void RegionCore::hide(NameRecord& record, std::uint64_t now_ns) {
  vault_.name(record.vault_index).state = NameState::kHidden;
  then();
  view_.name(record.slot).state.store_release(0);
  name_slots_.reset(record.slot);
  if (record.pins.empty()) {
    free_kept_block(record, now_ns);
  } else {
    hidden_.push_back(std::move(record));
  }
}

void RegionCore::free_kept_block(const NameRecord& record, std::uint64_t now_ns) {
  kept_words_.erase(kept_words_.find(record.word));
  const std::uint64_t first = record.word / region::kWordsPerGranule;
  auto& own = view_.word(first, record.word % region::kWordsPerGranule);
  std::uint32_t word = own.load_acquire();
  // Another generation is a member's scribble. Without any name nobody would free the block.
  const bool was_kept =
      word == kept_word(record.handle) ||
      (OwnWord::owner(word) == OwnWord::kKept && !kept_words_.contains(record.word));
  if (was_kept) end_chunks(first);
  const bool freed =
      was_kept && own.compare_exchange_acq_rel(word, OwnWord::after_free(word, OwnWord::kFreed));
  then();
  // Only now: a restart frees it if we did not come so far.
  vault_.name(record.vault_index).state = NameState::kNone;
  vault_names_.reset(record.vault_index);
  if (!freed) return;
  ++totals_.reclaimed_blocks;
  view_.span_ledger(first).hint.store_release(1);
  note_freed(first, now_ns);
}

Expected<void> RegionCore::clear_chunks(std::uint32_t session, Handle handle) {
  auto caller = live_session(session);
  if (!caller) return caller.error();
  const NameRecord* const record = find_record(handle);
  if (record == nullptr || !record->pins.contains(session)) {
    return Error(Errc::kNameUnknown, "this session has not found the block");
  }
  if ((*caller)->peer.uid != record->uid) {
    return Error(Errc::kNotOwner, "another user published it");
  }
  if (record->pins.size() > 1) {
    return Error(Errc::kArenaShared, std::to_string(record->pins.size() - 1) + " other sessions");
  }
  const std::uint64_t first = record->word / region::kWordsPerGranule;
  const auto span = view_.find_span(first, high_water_);
  if (!span || span->first != first || !view_.carving_of(*span).chunked || !is_kept(*record)) {
    return Error(Errc::kArenaKind, "not made to be shared");
  }
  for (std::uint32_t i = ChunkWords::kFirst; i < span->word_count; i += ChunkWords::kStride) {
    auto& word = view_.word(first, i);
    if (word.load_relaxed() != 0) word.store_release(region::value_word(0));
  }
  auto& epoch = view_.word(first, ChunkWords::kEpoch);
  epoch.store_release(region::value_word(region::word_value(epoch.load_relaxed()) + 1));
  return {};
}

const RegionCore::NameRecord* RegionCore::find_record(Handle handle) const noexcept {
  for (const auto& [name, record] : names_) {
    if (record.handle == handle) return &record;
  }
  const auto hidden = std::find_if(hidden_.begin(), hidden_.end(), [handle](const auto& record) {
    return record.handle == handle;
  });
  return hidden == hidden_.end() ? nullptr : &*hidden;
}

// A member may have overwritten its word: then it is not ours any more, and the audit says so.
bool RegionCore::is_kept(const NameRecord& record) const noexcept {
  const std::uint32_t word =
      view_.word(record.word / region::kWordsPerGranule, record.word % region::kWordsPerGranule)
          .load_acquire();
  return word == kept_word(record.handle);
}

// From now on an ordinary large block: nobody has it pinned, so nobody fills its chunks.
void RegionCore::end_chunks(std::uint64_t first) {
  const auto span = view_.find_span(first, high_water_);
  if (!span || span->first != first || !view_.carving_of(*span).chunked) return;
  view_.span_ledger(first).carve.store_release(region::CarveWord::kLarge);
  const auto clear = [&](std::uint32_t i) { view_.word(first, i).store_relaxed(0); };
  for (std::uint32_t i = 1; i < std::min(ChunkWords::kFirst, span->word_count); ++i) clear(i);
  for (std::uint32_t i = ChunkWords::kFirst; i < span->word_count; i += ChunkWords::kStride) {
    clear(i);
  }
}

bool RegionCore::drop_pins(std::uint32_t session, std::uint64_t& budget_words,
                           std::uint64_t now_ns) {
  if (budget_words == 0) return false;
  const auto spend = [&](std::uint64_t words) { budget_words -= std::min(budget_words, words); };
  spend(names_.size() + hidden_.size());
  for (auto& [name, record] : names_) {
    if (record.pins.contains(session)) set_pin(record, session, false);
  }
  bool freed = false;
  // From the end: what is taken out there moves the fewest.
  for (std::size_t i = hidden_.size(); i-- > 0;) {
    NameRecord& record = hidden_[i];
    if (!record.pins.contains(session)) continue;
    if (freed && budget_words == 0) return false;
    set_pin(record, session, false);
    if (!record.pins.empty()) continue;
    const std::uint64_t first = record.word / region::kWordsPerGranule;
    const Extent* const extent = extents_.find(static_cast<std::uint32_t>(first));
    spend(extent == nullptr ? 1 : extent->info.word_count);
    free_kept_block(record, now_ns);
    hidden_.erase(hidden_.begin() + static_cast<std::ptrdiff_t>(i));
    freed = true;
  }
  return true;
}

}  // namespace allot::core
