// Blocks that many sessions fill in chunks: closed when a session ends, cleared, ended with their name,
// and judged by the audit.

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "daemon/core/audit_input.hpp"
#include "daemon/core/region_core.hpp"
#include "shared/region/audit.hpp"
#include "shared/region/chunk_words.hpp"
#include "tests/support/audited_region.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::CarveWord;
using region::ChunkWords;
using region::Fault;
using test::refused;

constexpr std::uint32_t kChunks = 4;
constexpr std::uint32_t kHeaps = 1;
constexpr std::uint32_t kUnits = 1024;  // of 16 bytes: 16 KiB a chunk

// Session a has published a block of one granule in four chunks and fills the first; b has found it
// and fills the second; c, of another user, has not.
struct Chunks : testing::Test {
  Chunks() {
    region.word(span, ChunkWords::kForm).store_relaxed(region::value_word(1));
    region.word(span, ChunkWords::kUnitBytes).store_relaxed(region::value_word(16));
    region.word(span, ChunkWords::kChunkUnits).store_relaxed(region::value_word(kUnits));
    region.word(span, ChunkWords::kChunkCount).store_relaxed(region::value_word(kChunks));
    for (std::uint32_t i = 0; i < kChunks; ++i) chunk(i).store_relaxed(region::value_word(0));
    region.word(span).store_relaxed(
        test::owned_word(a, 100, OwnWord::kExposed | OwnWord::kOffered));
    region.view().span_ledger(span).carve.store_release(CarveWord::kChunked);
    handle = region.handle(span);
    region->publish(a, "arena", handle, region.now_ns).value();
    (void)region->find(a, "arena").value();
    (void)region->find(b, "arena").value();
    region.view().heap_ledger(heap).bins[region::kLargeBin].allocations.store_relaxed(1);
    chunk(0).store_relaxed(OwnWord::make(a, 700));
    chunk(1).store_relaxed(OwnWord::make(b, 300));
  }
  detail::Atomic<std::uint32_t>& chunk(std::uint32_t index) {
    return region.word(span, ChunkWords::of_chunk(index));
  }
  std::uint32_t word(std::uint32_t index) { return chunk(index).load_acquire(); }
  region::AuditReport audit() {
    region::Audit audit(region.view(), region->high_water_granules(),
                        audit_input(*region, region->high_water_granules(), kHeaps));
    while (!audit.step(1U << 20)) {
    }
    return audit.report();
  }
  void expect_fault(Fault fault, std::uint32_t index, std::uint32_t planted) {
    const std::uint32_t before = word(index);
    chunk(index).store_relaxed(planted);
    const region::AuditReport report = audit();
    chunk(index).store_relaxed(before);
    ASSERT_EQ(report.violation_count, 1U) << test::texts(report);
    EXPECT_EQ(report.violations[0].fault, fault) << test::texts(report);
    EXPECT_EQ(report.violations[0].index, ChunkWords::of_chunk(index));
  }

  test::CoreRegion region;
  std::uint32_t a = region.open_session(1000);
  std::uint32_t b = region.open_session(1000);
  std::uint32_t c = region.open_session(1001);
  std::uint32_t heap = region.attached_heap(a);
  std::uint64_t span = region.granted(a, 1);
  Handle handle;
};

TEST_F(Chunks, OfTheDeadAreClosedAndWhatTheyFilledStays) {
  const auto recovered = region->totals().recovered_blocks;
  region.recover(b);
  EXPECT_EQ(word(1), OwnWord::make(OwnWord::kFreed, 300));
  EXPECT_EQ(word(0), OwnWord::make(a, 700));
  EXPECT_EQ(word(2), region::value_word(0));
  EXPECT_EQ(region->totals().recovered_blocks, recovered) << "chunks are no blocks";
  EXPECT_EQ(OwnWord::owner(region.word(span).load_acquire()), OwnWord::kKept);
  EXPECT_EQ(region.word(span, ChunkWords::kChunkCount).load_relaxed(), region::value_word(kChunks));
}

TEST_F(Chunks, OfTheDeadMakerAreClosedAndTheBlockIsAnOrphan) {
  region.recover(a);
  EXPECT_EQ(word(0), OwnWord::make(OwnWord::kFreed, 700));
  EXPECT_EQ(word(1), OwnWord::make(b, 300));
  EXPECT_EQ(region.descriptor(span).state, region::SpanState::kOrphan);
  EXPECT_EQ(audit().kept.blocks, 1U);
  region->unpublish(b, "arena", handle, false, region.now_ns).value();
  EXPECT_EQ(region->orphan_count(), 1U) << "b has it";
  region->unpin(b, handle, region.now_ns).value();
  region->sweep(region.now_ns);
  EXPECT_EQ(region->orphan_count(), 0U);
  EXPECT_EQ(region->totals().granted_bytes, 0U);
}

TEST_F(Chunks, AreClearedForTheOnlyUserOfThePublishersUid) {
  EXPECT_TRUE(refused(region->clear_chunks(a, handle), Errc::kArenaShared));
  EXPECT_TRUE(refused(region->clear_chunks(c, handle), Errc::kNameUnknown));
  EXPECT_TRUE(refused(region->clear_chunks(999, handle), Errc::kUnknownSession));
  EXPECT_TRUE(refused(region->clear_chunks(a, Handle()), Errc::kNameUnknown));
  EXPECT_EQ(word(0), OwnWord::make(a, 700));
  region->unpin(b, handle, region.now_ns).value();
  const std::uint32_t beside = region::value_word(7);  // a word that is no chunk's
  region.word(span, ChunkWords::of_chunk(1) + 1).store_relaxed(beside);
  ASSERT_TRUE(region->clear_chunks(a, handle));
  for (std::uint32_t i = 0; i < kChunks; ++i) EXPECT_EQ(word(i), region::value_word(0));
  EXPECT_EQ(region.word(span, ChunkWords::of_chunk(1) + 1).load_relaxed(), beside);
  region.word(span, ChunkWords::of_chunk(1) + 1).store_relaxed(0);
  EXPECT_EQ(region.word(span, ChunkWords::kEpoch).load_relaxed(), region::value_word(1));
  EXPECT_EQ(region.word(span, ChunkWords::kChunkCount).load_relaxed(), region::value_word(kChunks));

  region->unpin(a, handle, region.now_ns).value();
  (void)region->find(c, "arena").value();
  EXPECT_TRUE(refused(region->clear_chunks(c, handle), Errc::kNotOwner));
}

TEST_F(Chunks, AnOrdinaryBlockIsNotCleared) {
  const std::uint64_t other = region.granted(a, 1);
  region.carve_large(other);
  region.word(other).store_relaxed(test::owned_word(a, 5, OwnWord::kExposed | OwnWord::kOffered));
  const Handle ordinary = region.handle(other);
  region->publish(a, "ordinary", ordinary, region.now_ns).value();
  (void)region->find(a, "ordinary").value();
  EXPECT_TRUE(refused(region->clear_chunks(a, ordinary), Errc::kArenaKind));
}

TEST_F(Chunks, OfABlockThatAMemberOverwroteAreLeftAlone) {
  region->unpin(b, handle, region.now_ns).value();
  region.word(span).store_relaxed(OwnWord::make(OwnWord::kFree, 100));
  EXPECT_TRUE(refused(region->clear_chunks(a, handle), Errc::kArenaKind));
  EXPECT_EQ(word(0), OwnWord::make(a, 700));
}

TEST_F(Chunks, EndWithTheNameAndTheLastPin) {
  region->unpublish(a, "arena", handle, false, region.now_ns).value();
  region->unpin(a, handle, region.now_ns).value();
  EXPECT_EQ(region.view().span_ledger(span).carve.load_relaxed(), CarveWord::kChunked);
  region->unpin(b, handle, region.now_ns).value();
  EXPECT_EQ(region.view().span_ledger(span).carve.load_relaxed(), CarveWord::kLarge);
  EXPECT_EQ(region.word(span).load_relaxed(), OwnWord::make(OwnWord::kFreed, 101));
  for (std::uint32_t i = 1; i < ChunkWords::of_chunk(kChunks); ++i) {
    ASSERT_EQ(region.word(span, i).load_relaxed(), 0U) << i;
  }
  EXPECT_EQ(audit().violation_count, 0U) << test::texts(audit());
}

TEST_F(Chunks, TheAuditFindsThemInOrderOrNamesTheWord) {
  const region::AuditReport report = audit();
  EXPECT_EQ(report.violation_count, 0U) << test::texts(report);
  EXPECT_EQ(report.total.live_blocks, 1U) << "one block, whatever its chunks";
  expect_fault(Fault::kOwnerAbsent, 2, OwnWord::make(999, 1));
  expect_fault(Fault::kFlagsWrong, 2, OwnWord::make(b, 1) | OwnWord::kExposed);
  expect_fault(Fault::kFlagsWrong, 3, region::value_word(0) | OwnWord::kOffered);
  expect_fault(Fault::kWordBeyondBlocks, 3, OwnWord::make(OwnWord::kKept, 1));
  expect_fault(Fault::kWordBeyondBlocks, 3, OwnWord::make(OwnWord::kTaken, 1));
}

// --- what members may have written ---

TEST_F(Chunks, AHeadThatMakesNoSenseIsRefused) {
  const auto read = [&](std::uint64_t block_bytes = region::kGranuleBytes,
                        std::uint32_t words = region::kDefaultWords) {
    return region::read_chunk_head(&region.word(span), words, block_bytes);
  };
  const auto refused_with = [&](std::uint32_t index, std::uint32_t value) {
    auto& planted = region.word(span, index);
    const std::uint32_t before = planted.load_relaxed();
    planted.store_relaxed(region::value_word(value));
    EXPECT_FALSE(read().has_value()) << index << " = " << value;
    planted.store_relaxed(before);
  };
  ASSERT_TRUE(read().has_value());
  EXPECT_EQ(read()->chunk_bytes(), 16U * kUnits);
  for (const std::uint32_t form : {0U, 3U, 257U}) refused_with(ChunkWords::kForm, form);
  for (const std::uint32_t units : {0U, kUnits + 1, detail::kMaxChunkUnits}) {
    refused_with(ChunkWords::kChunkUnits, units);
  }
  for (const std::uint32_t bytes : {0U, 17U, detail::kMaxChunkUnits}) {
    refused_with(ChunkWords::kUnitBytes, bytes);
  }
  for (const std::uint32_t count : {0U, kChunks + 1, detail::kMaxChunkUnits}) {
    refused_with(ChunkWords::kChunkCount, count);
  }
  EXPECT_FALSE(read(region::kGranuleBytes - 1).has_value());
  EXPECT_FALSE(read(region::kGranuleBytes, ChunkWords::needed(kChunks) - 1).has_value());
  EXPECT_TRUE(read(region::kGranuleBytes, ChunkWords::needed(kChunks)).has_value());
  EXPECT_FALSE(read(region::kGranuleBytes, ChunkWords::kFirst - 1).has_value());
}

TEST_F(Chunks, SumsTakeNoCountBeyondAChunk) {
  chunk(2).store_relaxed(OwnWord::make(OwnWord::kFreed, detail::kMaxChunkUnits));
  const auto head =
      region::read_chunk_head(&region.word(span), region::kDefaultWords, region::kGranuleBytes);
  const ChunkUsage sums = region::sum_chunks(&region.word(span), *head);
  EXPECT_EQ(sums.used_bytes, 16U * (700 + 300 + kUnits));
  EXPECT_EQ(sums.open_chunks, 2U);
  EXPECT_EQ(sums.closed_chunks, 1U);
  EXPECT_EQ(sums.untouched_chunks, 1U);
  EXPECT_EQ(sums.open_rest_bytes, 16U * (2 * kUnits - 1000));
  EXPECT_EQ(sums.closed_rest_bytes, 0U);
}

TEST_F(Chunks, ThePlaceIsPrintedWithoutItsTricks) {
  const auto place = [&] {
    return region::read_text(&region.word(span, ChunkWords::kPlace), ChunkWords::kPlaceWords);
  };
  EXPECT_EQ(place(), "");
  region.word(span, ChunkWords::kPlace).store_relaxed(region::value_word('a' | '\x1B' << 8));
  EXPECT_EQ(place(), "a?");
  for (std::uint32_t i = 0; i < ChunkWords::kPlaceWords; ++i) {
    region.word(span, ChunkWords::kPlace + i).store_relaxed(region::value_word('x' | 'y' << 8));
  }
  EXPECT_EQ(place().size(), 2 * ChunkWords::kPlaceWords);
  EXPECT_EQ(region::read_text(&region.word(span, ChunkWords::kPlace), 1), "xy");
}

}  // namespace
}  // namespace allot::core
