// What a CoreOracle knows of blocks that many sessions fill in chunks: who may clear one, what its end
// leaves, and that the product counts it as it is.

#include <algorithm>

#include <gtest/gtest.h>

#include "daemon/core/audit_input.hpp"
#include "shared/region/audit.hpp"
#include "shared/region/chunk_words.hpp"
#include "tests/support/core_oracle.hpp"

namespace allot::test {

using region::ChunkWords;

namespace {

constexpr std::uint32_t kFree = 1;
constexpr std::uint32_t kFreed = 2;
constexpr std::uint32_t kKept = 3;
constexpr std::uint32_t kFirstSession = 16;
constexpr std::uint32_t kUnits = 1U << 18;

std::uint32_t owner_of(std::uint32_t word) { return word >> 20; }
std::uint32_t units_of(std::uint32_t word) { return word % kUnits; }

}  // namespace

const CoreOracle::Name* CoreOracle::record(Handle handle) const {
  for (const auto& [name, record] : names_) {
    if (record.handle == handle) return &record;
  }
  for (const Name& record : hidden_) {
    if (record.handle == handle) return &record;
  }
  return nullptr;
}

std::vector<BlockKey> CoreOracle::open_chunks(std::uint32_t session, std::uint32_t first) const {
  std::vector<BlockKey> found;
  if (!is_chunked(first)) return found;
  const std::uint32_t count = units_of(words_[at({first, ChunkWords::kChunkCount})]);
  for (std::uint32_t chunk = 0; chunk < count; ++chunk) {
    const BlockKey word{first, ChunkWords::of_chunk(chunk)};
    if (owner_of(words_[at(word)]) == session) found.push_back(word);
  }
  return found;
}

bool CoreOracle::fills_a_chunk(std::uint32_t session) const {
  return std::any_of(spans_.begin(), spans_.end(), [&](const auto& entry) {
    return !entry.second.pending && fills_a_chunk(session, entry.first);
  });
}

bool CoreOracle::has_chunked_span(std::uint32_t session) const {
  return std::any_of(spans_.begin(), spans_.end(), [&](const auto& entry) {
    return entry.second.session == session && !entry.second.pending && is_chunked(entry.first);
  });
}

std::set<Errc> CoreOracle::clear_obstacles(std::uint32_t session, Handle handle) const {
  const Session& caller = sessions_.at(session);
  if (caller.state != region::SessionState::kLive) return {Errc::kUnknownSession};
  const Name* const name = record(handle);
  if (name == nullptr || !name->pins.contains(session)) return {Errc::kNameUnknown};
  std::set<Errc> obstacles;
  if (name->uid != caller.uid) obstacles.insert(Errc::kNotOwner);
  if (name->pins.size() > 1) obstacles.insert(Errc::kArenaShared);
  if (!is_chunked(name->block.first)) obstacles.insert(Errc::kArenaKind);
  return obstacles;
}

void CoreOracle::clear_chunks(Handle handle) {
  const std::uint32_t first = record(handle)->block.first;
  const std::uint32_t count = units_of(words_[at({first, ChunkWords::kChunkCount})]);
  for (std::uint32_t chunk = 0; chunk < count; ++chunk) {
    words_[at({first, ChunkWords::of_chunk(chunk)})] = kFree << 20;
  }
  std::uint32_t& epoch = words_[at({first, ChunkWords::kEpoch})];
  epoch = (kFree << 20) + units_of(epoch + 1);
}

// Its name is gone, and nobody has it pinned: a large block like any other.
void CoreOracle::end_chunks(std::uint32_t first) {
  const auto words = words_.begin() + static_cast<std::ptrdiff_t>(at({first, 0}));
  std::fill(words + 1, words + spans_.at(first).words, 0);
  carves_[first] = region::CarveWord::kLarge;
}

void CoreOracle::compare_chunks(const core::RegionCore& core) const {
  for (const auto& [first, span] : spans_) {
    if (span.pending || !is_chunked(first)) continue;
    const auto head = region::read_chunk_head(&core.view().word(first, 0), span.words,
                                              span.granules * region::kGranuleBytes);
    const Name* name = nullptr;
    const auto is_of_this = [at = first](const Name& one) { return one.block.first == at; };
    for (const auto& [text, one] : names_) name = is_of_this(one) ? &one : name;
    for (const Name& one : hidden_) name = is_of_this(one) ? &one : name;
    if (name == nullptr) continue;  // being made, or made to no purpose
    ASSERT_TRUE(head.has_value()) << "no head at granule " << first;
    std::uint64_t used_bytes = 0;
    std::map<std::uint32_t, std::uint32_t> by_owner;  // sessions together
    for (std::uint32_t chunk = 0; chunk < head->chunk_count; ++chunk) {
      const std::uint32_t word = words_[at({first, ChunkWords::of_chunk(chunk)})];
      used_bytes += std::uint64_t{units_of(word)} * head->unit_bytes;
      const std::uint32_t owner = owner_of(word);
      ++by_owner[std::min(owner, kFirstSession)];
      if (owner < kFirstSession) continue;
      // What recovery must find: nobody fills what he could not hold on to.
      EXPECT_TRUE(is_draining(owner) || name->pins.contains(owner))
          << owner << " fills a chunk at granule " << first << " and does not pin it";
    }
    const ChunkUsage sums = region::sum_chunks(&core.view().word(first, 0), *head);
    EXPECT_EQ(sums.used_bytes, used_bytes) << first;
    EXPECT_EQ(sums.untouched_chunks, by_owner[kFree]) << first;
    EXPECT_EQ(sums.closed_chunks, by_owner[kFreed]) << first;
    EXPECT_EQ(sums.open_chunks, by_owner[kFirstSession]) << first;
  }
}

void CoreOracle::audit(const core::RegionCore& core) const {
  std::uint64_t live = 0;
  for (const auto& [first, span] : spans_) {
    if (span.pending) continue;
    for (std::uint32_t i = 0; i < (is_chunked(first) ? 1 : span.words); ++i) {
      const std::uint32_t owner = owner_of(words_[at({first, i})]);
      live += owner == kKept || owner >= kFirstSession ? 1U : 0U;
    }
  }
  // The simulation's clients count nothing: as if all that ever was had been counted by heaps that are gone.
  region::AuditInput input = core::audit_input(core, core.high_water_granules(), 0);
  input.quiet = true;
  input.killed_heaps = input.retired_frees = 0;
  input.retired_allocations = live + recovered_blocks_ + reclaimed_blocks_;
  region::Audit audit(core.view(), core.high_water_granules(), std::move(input));
  while (!audit.step(1U << 20)) {
  }
  const region::AuditReport& report = audit.report();
  for (const region::Violation& one : report.violations) ADD_FAILURE() << violation_text(one);
  EXPECT_EQ(report.total.live_blocks, live);
}

}  // namespace allot::test
