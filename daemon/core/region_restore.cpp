// Restore: a region goes on after its daemon was killed, at whatever instruction.
//
// What the daemon had decided is in the directory and in the vault, each decision by one store; what
// it had begun and not decided is not there, and is done again by whoever asked. So what is read
// here is whole, and each step may be cut short and run again. Vault and directory are trusted as far
// as nobody but the daemon can write them; still each value is checked before it is used.

#include <algorithm>
#include <string>
#include <utility>

#include "daemon/core/region_core.hpp"

namespace allot::core {

using detail::OwnWord;
using region::SessionState;
using region::SpanDescriptor;
using region::SpanState;

namespace {

Error damaged(const std::string& what) {
  return {Errc::kUntrustedRegion, "the region cannot go on: " + what};
}

}  // namespace

std::uint32_t RegionCore::heaps_to_open(const RegionView& view, const VaultView& vault) {
  std::uint32_t heaps = region::kHeapLimit;
  while (heaps > 0 && view.heap(heaps - 1).session.load_relaxed() == 0) --heaps;
  const std::uint64_t retiring = vault.header().retirement.heap_plus_one;
  return std::max(
      heaps, static_cast<std::uint32_t>(std::min<std::uint64_t>(retiring, region::kHeapLimit)));
}

Expected<std::unique_ptr<RegionCore>> RegionCore::restore(RegionView view, VaultView vault,
                                                          const Limits& limits) {
  const region::DirectoryHeader& header = view.header();
  const VaultHeader& kept = vault.header();
  if (kept.magic != kVaultMagic || kept.granules != view.granules() ||
      header.granules != view.granules()) {
    return damaged("its vault is not of this build, or of another region");
  }
  if (kept.next_session < region::kFirstSession || kept.next_session >= region::kSessionLimit ||
      kept.retirement.heap_plus_one > region::kHeapLimit ||
      kept.reservations_end > view.granules()) {
    return damaged("its vault holds impossible values");
  }
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<RegionCore> core(new RegionCore(view, vault, limits));
  core->name_ = protocol::text(header.name);
  core->tag_ = static_cast<std::uint32_t>(header.region_tag);
  core->high_water_ = header.high_water_granules.load_acquire();
  core->pressure_count_ = header.pressure.load_relaxed();
  if (core->high_water_ > view.granules()) return damaged("its high-water mark lies outside");
  if (!core->names_are_possible()) return damaged("a name in its vault is impossible");
  core->totals_.granted_bytes = 0;
  core->totals_.reservation_bytes = 0;
  core->restore_sessions();
  if (auto restored = core->restore_spans(); !restored) return restored.error();
  if (auto restored = core->restore_reservations(); !restored) return restored.error();
  core->restore_heaps();
  core->restore_memory();
  core->restore_names();
  core->restarts_ = header.boot_epoch.load_relaxed();
  core->view_.header().boot_epoch.store_release(core->restarts_ + 1);
  return core;
}

void RegionCore::restore_sessions() {
  const VaultHeader& kept = vault_.header();
  for (std::uint32_t id = region::kFirstSession; id < region::kSessionLimit; ++id) {
    region::SessionEntry& entry = view_.session(id);
    const auto state = static_cast<SessionState>(entry.state.load_acquire());
    if (state == SessionState::kAbsent) continue;
    SessionRecord& record = sessions_[id];
    record.incarnation = entry.incarnation;
    record.peer.pid = static_cast<pid_t>(entry.pid);
    record.peer.uid = entry.uid;
    record.state = SessionState::kDetached;
    record.waits_for_resume = (kept.welcomed.at(id / 64) >> id % 64 & 1) != 0;
    entry.granted_bytes.store_relaxed(0);
    entry.granted_spans.store_relaxed(0);
    entry.heap_count = 0;
    entry.state.store_release(static_cast<std::uint32_t>(SessionState::kDetached));
    // No image had it any more: the presence file can tell nothing else.
    if (state == SessionState::kDraining) begin_recovery(id);
  }
}

Expected<void> RegionCore::restore_spans() {
  for (std::uint32_t granule = 0; granule < high_water_;) {
    const SpanDescriptor head = SpanDescriptor::decode(view_.descriptor(granule).load_acquire());
    if (!head.is_head()) {
      // Of a span that was about to be granted, or that was just taken back.
      view_.descriptor(granule++).store_relaxed(0);
      continue;
    }
    const std::uint64_t words = std::uint64_t{head.word_units} * region::kWordsPerUnit;
    if (head.granules == 0 || head.granules > high_water_ - granule || words == 0 ||
        words > std::uint64_t{head.granules} * region::kWordsPerGranule ||
        !extents_.place_span(granule, head.granules)) {
      return damaged("the span at granule " + std::to_string(granule) + " is impossible");
    }
    const VaultSpan& kept = vault_.span(granule);
    const bool is_held = head.state == SpanState::kGranted && sessions_.contains(head.session);
    Extent& extent = *extents_.find(granule);
    extent.info = {is_held ? head.session : 0, static_cast<uid_t>(kept.uid),
                   static_cast<std::uint32_t>(words),
                   std::max<std::uint64_t>(kept.granted_unix_ns, 1), 0};
    charge(extent.info, head.granules);
    if (is_held) {
      auto& record = sessions_.at(head.session);
      view_.session(head.session).granted_spans.store_relaxed(++record.granted_spans);
    } else {
      add_orphan(extent);
    }
    granule = extent.end();
  }
  return {};
}

Expected<void> RegionCore::restore_reservations() {
  const std::uint64_t end = vault_.header().reservations_end;
  for (std::uint32_t first = 0; first < end;) {
    VaultReservation& kept = vault_.reservation(first);
    if (kept.bits == 0) {
      ++first;
      continue;
    }
    const auto session = sessions_.find(kept.session());
    if (kept.end() <= first || kept.end() > end || session == sessions_.end()) {
      return damaged("the reservation at granule " + std::to_string(first) + " is impossible");
    }
    // Between its spans.
    for (std::uint32_t at = first; at < kept.end();) {
      const Extent& extent = *extents_.at_or_after(at);
      const std::uint32_t next = std::min(extent.end(), kept.end());
      if (extent.is_free() && !extents_.place_reserved(at, next - at)) {
        return damaged("the reservation at granule " + std::to_string(first) + " overlaps");
      }
      at = next;
    }
    const std::uint64_t bytes = (kept.end() - first) * region::kGranuleBytes;
    reservations_[first] = {kept.end(), session->first};
    session->second.reservations.insert(first);
    session->second.reservation_bytes += bytes;
    uid_reserved_[session->second.peer.uid] += bytes;
    totals_.reservation_bytes += bytes;
    first = kept.end();
  }
  return {};
}

void RegionCore::restore_heaps() {
  finish_retirement();
  for (std::uint32_t heap = 0; heap < region::kHeapLimit; ++heap) {
    auto& entry = view_.heap(heap).session;
    const auto found = sessions_.find(static_cast<std::uint32_t>(entry.load_relaxed()));
    if (found == sessions_.end()) {
      entry.store_release(0);
      continue;
    }
    heaps_used_.set(heap);
    heap_sessions_[heap] = found->first;
    view_.session(found->first).heap_count = ++found->second.heaps;
  }
}

bool RegionCore::names_are_possible() const noexcept {
  for (std::uint32_t i = 0; i < region::kNameLimit; ++i) {
    const VaultName& kept = vault_.name(i);
    if (kept.state == NameState::kNone) continue;
    if (kept.state > NameState::kHidden || kept.slot >= region::kNameLimit ||
        kept.word >= high_water_ * region::kWordsPerGranule) {
      return false;
    }
  }
  return true;
}

void RegionCore::restore_names() {
  std::vector<NameRecord> ended;
  for (std::uint32_t i = 0; i < region::kNameLimit; ++i) {
    VaultName& kept = vault_.name(i);
    if (kept.state == NameState::kNone) continue;
    NameRecord record;
    record.slot = static_cast<std::uint32_t>(kept.slot);
    record.handle = Handle::from_bits(kept.handle);
    record.uid = kept.uid;
    record.word = kept.word;
    record.vault_index = i;
    // The daemon was killed before the block was its own: the publisher asks again.
    if (kept.state == NameState::kPending && !is_kept(record)) {
      kept.state = NameState::kNone;
      continue;
    }
    for (const auto& [id, session] : sessions_) {
      if ((kept.pins.at(id / 64) >> id % 64 & 1) != 0) record.pins.insert(id);
    }
    if (kept.state != NameState::kHidden) {
      const std::string name(protocol::text(view_.name(record.slot).name));
      add_name(name, std::move(record));
      continue;
    }
    vault_names_.set(i);
    kept_words_.insert(record.word);
    (record.pins.empty() ? ended : hidden_).push_back(std::move(record));
  }
  // Only now it is known which blocks another name keeps.
  for (const NameRecord& record : ended) free_kept_block(record, 0);
  // Killed between the two stores of an unpublish.
  for (std::uint32_t slot = 0; slot < region::kNameLimit; ++slot) {
    if (!name_slots_.test(slot)) view_.name(slot).state.store_release(0);
  }
}

// Which free memory still has pages nobody knows: all of it may.
void RegionCore::restore_memory() {
  for (Extent* extent = extents_.at_or_after(0); extent != nullptr;
       extent = extents_.at_or_after(extent->end())) {
    const std::uint32_t first = extent->first();
    if (!extent->is_span()) {
      const auto end =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(extent->end(), high_water_));
      if (first < end) dirty_.add(first, end - first, 0);
      continue;
    }
    if (extent->info.session != 0 &&
        region::CarveWord::is_one_block(view_.span_ledger(first).carve.load_acquire()) &&
        OwnWord::owner(view_.word(first, 0).load_acquire()) == OwnWord::kTaken) {
      taken_[first] = 0;
    }
  }
  large_left_to_look_at_ = true;
}

}  // namespace allot::core
