// CoreOracle::compare(): where the region differs from what it must be.

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/support/core_oracle.hpp"

namespace allot::test {

using region::kGranuleBytes;
using region::SessionState;
using region::SpanDescriptor;
using region::SpanState;

namespace {

constexpr std::uint32_t kKept = 3;
constexpr std::uint32_t kFirstSession = 16;

std::uint32_t owner_of(std::uint32_t word) { return word >> 20; }
bool is_live(std::uint32_t word) {
  return owner_of(word) == kKept || owner_of(word) >= kFirstSession;
}

}  // namespace

void CoreOracle::compare(core::RegionCore& core) const {
  compare_spans(core);
  compare_reservations(core);
  compare_words(core);
  compare_chunks(core);
  compare_sums(core);
  compare_names(core);
  compare_tables(core);
}

void CoreOracle::compare_spans(core::RegionCore& core) const {
  const core::ExtentMap& extents = core.extents();
  EXPECT_TRUE(extents.is_consistent());
  std::uint32_t free_granules = 0;
  for (std::size_t i = 0; i < used_.size(); ++i)
    free_granules += used_[i] || set_aside_[i] ? 0U : 1U;
  EXPECT_EQ(extents.free_granules(), free_granules);
  std::vector<std::uint64_t> descriptors(used_.size());
  for (const auto& [first, span] : spans_) {
    const core::Extent* const extent = core.extents().find(first);
    ASSERT_NE(extent, nullptr) << "no extent at granule " << first;
    EXPECT_EQ(extent->granules(), span.granules);
    EXPECT_EQ(extent->info.session, span.session) << first;
    EXPECT_EQ(extent->info.uid, span.uid) << first;
    EXPECT_EQ(extent->info.word_count, span.words) << first;
    if (span.pending) continue;
    EXPECT_TRUE(span.session == 0 || sessions_.contains(span.session)) << "I4: span at " << first;
    descriptors[first] =
        SpanDescriptor{span.session == 0 ? SpanState::kOrphan : SpanState::kGranted, span.session,
                       span.granules, span.words / 256}
            .encode();
    for (std::uint32_t i = 1; i < span.granules; ++i) {
      descriptors[first + i] = SpanDescriptor{SpanState::kInterior, 0, i, 0}.encode();
    }
  }
  for (std::uint64_t granule = 0; granule < core.high_water_granules(); ++granule) {
    ASSERT_EQ(core.view().descriptor(granule).load_acquire(), descriptors[granule]) << granule;
  }
  EXPECT_EQ(core.view().header().high_water_granules.load_acquire(), core.high_water_granules());
}

void CoreOracle::compare_reservations(core::RegionCore& core) const {
  std::map<std::uint32_t, std::uint64_t> bytes_of_session;
  std::map<uid_t, std::uint64_t> bytes_of_uid;
  std::uint64_t bytes = 0;
  std::uint32_t reserved_granules = 0;
  for (const auto& [first, one] : reservations_) {
    const std::uint32_t end = first + one.granules;
    for (std::uint32_t at = first; at < end;) {
      const std::uint32_t run = at;
      while (at < end && !used_[at]) ++at;
      reserved_granules += at - run;
      if (at == run) {
        ++at;
        continue;
      }
      const core::Extent* const extent = core.extents().find_reserved(run);
      ASSERT_NE(extent, nullptr) << "granule " << run << " is not reserved";
      EXPECT_EQ(extent->granules(), at - run) << run;
    }
    bytes_of_session[one.session] += one.granules * kGranuleBytes;
    bytes_of_uid[one.uid] += one.granules * kGranuleBytes;
    bytes += one.granules * kGranuleBytes;
    EXPECT_TRUE(sessions_.contains(one.session)) << "I4: reservation at " << first;
  }
  EXPECT_EQ(core.extents().reserved_granules(), reserved_granules);
  EXPECT_EQ(core.totals().reservation_bytes, bytes);
  for (const uid_t uid : {1000U, 1001U, 1002U}) {
    EXPECT_EQ(core.uid_reservation_bytes(uid), bytes_of_uid[uid]) << "uid " << uid;
  }
  for (const auto& [id, record] : core.sessions()) {
    EXPECT_EQ(record.reservation_bytes, bytes_of_session[id]) << "session " << id;
  }
}

void CoreOracle::compare_words(const core::RegionCore& core) const {
  std::set<BlockKey> kept;
  for (const auto& [first, span] : spans_) {
    if (span.pending) continue;
    EXPECT_EQ(core.view().span_ledger(first).carve.load_acquire(), carves_[first]) << first;
    for (std::uint32_t i = 0; i < span.words; ++i) {
      const std::uint32_t word = words_[at({first, i})];
      if (core.view().word(first, i).load_acquire() != word) {
        FAIL() << "own word " << first << '.' << i << " is " << std::hex
               << core.view().word(first, i).load_acquire() << " and not " << word;
      }
      if (owner_of(word) == kKept) kept.insert({first, i});
      if (owner_of(word) >= kFirstSession && !sessions_.contains(owner_of(word))) {
        FAIL() << "I4: own word " << first << '.' << i << " names " << owner_of(word);
      }
    }
    compare_space(first, span);
  }
  std::set<BlockKey> named;
  for (const auto& [name, record] : names_) EXPECT_TRUE(named.insert(record.block).second);
  for (const Name& record : hidden_) EXPECT_TRUE(named.insert(record.block).second);
  EXPECT_EQ(kept, named) << "I7: a word is kept if and only if it has a name";
}

// I7: live + cached + free + tail == granted.
void CoreOracle::compare_space(std::uint32_t first, const Span& span) const {
  const std::uint64_t granted = span.granules * kGranuleBytes;
  const std::uint64_t carve = carves_[first];
  if (carve == 0) return;
  std::uint64_t block_bytes = granted;
  std::uint64_t blocks = 1;
  if (!is_large(first)) {
    const region::SizeClass& one = region::kSizeClasses.at(carve >> 8);
    block_bytes = one.block_bytes;
    blocks = one.block_count;
  }
  std::uint64_t live = 0;
  std::uint64_t idle = 0;
  for (std::uint32_t i = 0; i < (is_chunked(first) ? 1 : span.words); ++i) {
    const std::uint32_t word = words_[at({first, i})];
    if (is_live(word)) {
      live += block_bytes;
    } else if (owner_of(word) != 0) {
      idle += block_bytes;
    }
    EXPECT_TRUE(i < blocks || word == 0) << "a word behind the last block: " << first << '.' << i;
  }
  const std::uint64_t tail = granted - blocks * block_bytes;
  EXPECT_EQ(live + idle + tail, granted) << "I7: span at granule " << first;
}

void CoreOracle::compare_sums(const core::RegionCore& core) const {
  std::map<std::uint32_t, std::uint64_t> bytes_of_session;
  std::map<std::uint32_t, std::uint64_t> spans_of_session;
  std::map<uid_t, std::uint64_t> bytes_of_uid;
  std::uint64_t bytes = 0;
  std::uint32_t orphans = 0;
  for (const auto& [first, span] : spans_) {
    bytes_of_session[span.session] += span.granules * kGranuleBytes;
    if (!span.pending) ++spans_of_session[span.session];
    bytes_of_uid[span.uid] += span.granules * kGranuleBytes;
    bytes += span.granules * kGranuleBytes;
    if (span.session == 0) ++orphans;
  }
  EXPECT_EQ(core.totals().granted_bytes, bytes);
  EXPECT_EQ(core.orphan_count(), orphans);
  EXPECT_EQ(core.totals().recovered_blocks, recovered_blocks_);
  EXPECT_EQ(core.totals().reclaimed_blocks, reclaimed_blocks_);
  for (const uid_t uid : {1000U, 1001U, 1002U}) {
    EXPECT_EQ(core.uid_granted_bytes(uid), bytes_of_uid[uid]) << "uid " << uid;
  }
  for (const auto& [id, record] : core.sessions()) {
    EXPECT_EQ(record.granted_bytes, bytes_of_session[id]) << "session " << id;
    EXPECT_EQ(record.granted_spans, spans_of_session[id]) << "session " << id;
  }
  std::uint64_t dirty = 0;
  for (std::size_t granule = 0; granule < used_.size(); ++granule) {
    if (dirty_since_[granule] != kClean) ++dirty;
    EXPECT_FALSE(used_[granule] && dirty_since_[granule] != kClean) << granule;
  }
  EXPECT_EQ(core.dirty_bytes(), dirty * kGranuleBytes);
}

void CoreOracle::compare_names(const core::RegionCore& core) const {
  EXPECT_EQ(core.names().size(), names_.size());
  std::set<std::uint32_t> slots;
  for (const auto& [name, record] : names_) {
    const auto found = core.names().find(name);
    ASSERT_NE(found, core.names().end()) << name;
    EXPECT_EQ(found->second.handle, record.handle) << name;
    EXPECT_EQ(found->second.uid, record.uid) << name;
    EXPECT_EQ(found->second.pins, record.pins) << name;
    EXPECT_TRUE(slots.insert(found->second.slot).second) << name;
    const region::NameEntry& entry = core.view().name(found->second.slot);
    EXPECT_EQ(entry.state.load_acquire(), 1U) << name;
    EXPECT_EQ(entry.handle, record.handle.bits()) << name;
    EXPECT_EQ(entry.size_bytes, record.size_bytes) << name;
    EXPECT_EQ(protocol::text(entry.name), name);
  }
  for (std::uint32_t slot = 0; slot < 64; ++slot) {
    EXPECT_EQ(core.view().name(slot).state.load_acquire(), slots.contains(slot) ? 1U : 0U) << slot;
  }
  ASSERT_EQ(core.hidden_names().size(), hidden_.size());
  for (const Name& record : hidden_) {
    const auto& all = core.hidden_names();
    EXPECT_TRUE(std::any_of(all.begin(), all.end(), [&](const auto& one) {
      return one.handle == record.handle && one.pins == record.pins;
    }));
  }
}

void CoreOracle::compare_tables(const core::RegionCore& core) const {
  EXPECT_EQ(core.session_count(), sessions_.size());
  for (std::uint32_t id = 0; id < region::kSessionLimit; ++id) {
    const region::SessionEntry& entry = core.view().session(id);
    const auto found = sessions_.find(id);
    const auto state = static_cast<SessionState>(entry.state.load_acquire());
    ASSERT_EQ(state, found == sessions_.end() ? SessionState::kAbsent : found->second.state) << id;
    if (found == sessions_.end()) continue;
    EXPECT_EQ(entry.incarnation, found->second.incarnation);
    EXPECT_EQ(entry.uid, found->second.uid);
    EXPECT_EQ(entry.granted_bytes.load_relaxed(), core.session(id)->granted_bytes) << id;
    EXPECT_EQ(entry.granted_spans.load_relaxed(), core.session(id)->granted_spans) << id;
  }
  for (std::uint32_t heap = 0; heap < 64; ++heap) {
    const auto found = heaps_.find(heap);
    EXPECT_EQ(core.view().heap(heap).session.load_acquire(),
              found == heaps_.end() ? 0U : found->second)
        << "heap " << heap;
  }
}

}  // namespace allot::test
