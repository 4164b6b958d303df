#include "shared/region/region_view.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/core_region.hpp"
#include "tests/support/memory_region.hpp"
#include "tests/support/seed.hpp"

namespace allot::region {
namespace {

using test::MemoryRegion;

void set_span(const RegionView& view, std::uint64_t first, std::uint32_t granules,
              std::uint32_t words, SpanState state = SpanState::kGranted) {
  for (std::uint32_t i = 1; i < granules; ++i) {
    view.descriptor(first + i).store_relaxed(
        SpanDescriptor{SpanState::kInterior, 0, i, 0}.encode());
  }
  view.descriptor(first).store_release(SpanDescriptor{
      state, state == SpanState::kGranted ? 20U : 0U, granules, words / kWordsPerUnit}
                                           .encode());
}

struct OpenRegion : testing::Test {
  static constexpr std::uint64_t kGranules = 64;
  OpenRegion() { memory.open(kGranules); }
  MemoryRegion memory{kGranules};
  RegionView view = memory.view();
  BlockRef found;
};
using FindSpan = OpenRegion;
using FindBlock = OpenRegion;
using CarvingOf = OpenRegion;

TEST_F(FindSpan, FindsASpanFromEachOfItsGranules) {
  set_span(view, 5, 7, 1024);
  for (std::uint64_t granule = 5; granule < 12; ++granule) {
    const auto span = view.find_span(granule, kGranules);
    ASSERT_TRUE(span) << granule;
    EXPECT_EQ(span->first, 5U);
    EXPECT_EQ(span->head.granules, 7U);
    EXPECT_EQ(span->head.session, 20U);
    EXPECT_EQ(span->word_count, 1024U);
  }
  EXPECT_FALSE(view.find_span(4, kGranules));
  EXPECT_FALSE(view.find_span(12, kGranules));
}

TEST_F(FindSpan, FindsOrphans) {
  set_span(view, 3, 2, 256, SpanState::kOrphan);
  const auto span = view.find_span(4, kGranules);
  ASSERT_TRUE(span);
  EXPECT_EQ(span->head.state, SpanState::kOrphan);
  EXPECT_EQ(span->head.session, 0U);
}

TEST_F(FindSpan, RefusesWhatReachesBeyondTheWindow) {
  set_span(view, 5, 7, 1024);
  EXPECT_TRUE(view.find_span(5, 12));
  EXPECT_FALSE(view.find_span(5, 11)) << "the span ends behind the window";
  EXPECT_FALSE(view.find_span(kGranules, kGranules));
  EXPECT_FALSE(view.find_span(~std::uint64_t{0}, ~std::uint64_t{0}));
  EXPECT_EQ(view.find_block(kGranules * kGranuleBytes, ~std::uint64_t{0}, found),
            Errc::kNotInRegion);
  EXPECT_EQ(view.find_block(11 * kGranuleBytes, 11, found), Errc::kNotInRegion);
}

TEST_F(FindSpan, RefusesDescriptorsThatDisagree) {
  // An interior whose head is no head, is before the region, is another interior, is too short.
  const auto interior = [&](std::uint64_t granule, std::uint32_t back) {
    view.descriptor(granule).store_relaxed(
        SpanDescriptor{SpanState::kInterior, 0, back, 0}.encode());
  };
  interior(8, 3);
  EXPECT_FALSE(view.find_span(8, kGranules));
  interior(2, 3);
  EXPECT_FALSE(view.find_span(2, kGranules));
  interior(8, 0);
  EXPECT_FALSE(view.find_span(8, kGranules));
  set_span(view, 20, 4, 256);
  interior(24, 4);
  EXPECT_FALSE(view.find_span(24, kGranules));
  // A head of length 0, one beyond the region, one with more words than its granules have.
  const auto head = [&](std::uint64_t granule, std::uint32_t granules, std::uint32_t units) {
    view.descriptor(granule).store_relaxed(
        SpanDescriptor{SpanState::kGranted, 20, granules, units}.encode());
    return view.find_span(granule, kGranules).has_value();
  };
  EXPECT_FALSE(head(30, 0, 4));
  EXPECT_FALSE(head(60, 5, 4));
  EXPECT_TRUE(head(60, 4, 4));
  EXPECT_FALSE(head(30, 2, 33));
  EXPECT_TRUE(head(30, 2, 32));
  view.descriptor(30).store_relaxed(SpanDescriptor{static_cast<SpanState>(5), 20, 2, 4}.encode());
  EXPECT_FALSE(view.find_span(30, kGranules));
}

TEST_F(FindBlock, FindsEachBlockOfEachClassAndNothingBetween) {
  for (std::uint32_t bin = 0; bin < kClassCount; ++bin) {
    const SizeClass& one = kSizeClasses.at(bin);
    const std::uint32_t words =
        (one.block_count + kWordsPerUnit - 1) / kWordsPerUnit * kWordsPerUnit;
    set_span(view, 2, one.span_granules, words);
    view.span_ledger(2).carve.store_release(CarveWord::blocks(bin));
    for (std::uint32_t index = 0; index < one.block_count; ++index) {
      const std::uint64_t offset = 2 * kGranuleBytes + block_offset(one, index);
      ASSERT_EQ(view.find_block(offset, kGranules, found), Errc::kOk);
      ASSERT_EQ(found.index, index);
      ASSERT_EQ(found.carving.bin, bin);
      ASSERT_EQ(found.carving.block_bytes, one.block_bytes);
      ASSERT_EQ(found.word, &view.word(2, index));
      ASSERT_EQ(view.find_block(offset + 16, kGranules, found),
                one.block_bytes == 16 && index + 1 < one.block_count ? Errc::kOk
                : one.block_bytes == 16                              ? Errc::kNotABlock
                                                                     : Errc::kInteriorPointer);
    }
    for (std::uint64_t granule = 2; granule < 2 + one.span_granules; ++granule) {
      view.descriptor(granule).store_relaxed(0);
    }
  }
}

TEST_F(FindBlock, FindsEachBlockOfAPoolAndNothingBetween) {
  for (const std::uint32_t bytes : {16U, 80U, 1008U, 1040U, 5008U, 65'536U}) {
    const SizeClass cut = size_class_for(bytes);
    const std::uint32_t words =
        (cut.block_count + kWordsPerUnit - 1) / kWordsPerUnit * kWordsPerUnit;
    set_span(view, 2, cut.span_granules, words);
    view.span_ledger(2).carve.store_release(CarveWord::pool(kFirstPoolBin, bytes));
    for (std::uint32_t index = 0; index < cut.block_count; ++index) {
      const std::uint64_t offset = 2 * kGranuleBytes + block_offset(cut, index);
      ASSERT_EQ(view.find_block(offset, kGranules, found), Errc::kOk);
      ASSERT_EQ(found.index, index);
      ASSERT_EQ(found.carving.bin, kFirstPoolBin);
      ASSERT_EQ(found.carving.block_bytes, bytes);
      ASSERT_EQ(view.find_block(offset + 8, kGranules, found), Errc::kInteriorPointer);
    }
    for (std::uint64_t granule = 2; granule < 2 + cut.span_granules; ++granule) {
      view.descriptor(granule).store_relaxed(0);
    }
  }
}

TEST_F(FindBlock, FindsALargeBlockAtItsStartOnly) {
  set_span(view, 9, 3, 256);
  view.span_ledger(9).carve.store_release(CarveWord::kLarge);
  ASSERT_EQ(view.find_block(9 * kGranuleBytes, kGranules, found), Errc::kOk);
  EXPECT_EQ(found.carving.kind, Carving::Kind::kLarge);
  EXPECT_EQ(found.carving.bin, kLargeBin);
  EXPECT_EQ(found.carving.block_bytes, 3 * kGranuleBytes);
  EXPECT_EQ(found.carving.block_count, 1U);
  EXPECT_EQ(found.index, 0U);
  EXPECT_EQ(view.find_block(9 * kGranuleBytes + 16, kGranules, found), Errc::kInteriorPointer);
  EXPECT_EQ(view.find_block(10 * kGranuleBytes, kGranules, found), Errc::kInteriorPointer);
}

TEST_F(CarvingOf, RefusesCarveWordsThatTheSpanDoesNotBear) {
  set_span(view, 4, 1, 256);
  const auto kind_of = [&](std::uint64_t carve) {
    view.span_ledger(4).carve.store_release(carve);
    return view.carving_of(*view.find_span(4, kGranules)).kind;
  };
  using Kind = Carving::Kind;
  EXPECT_EQ(kind_of(0), Kind::kNone);
  EXPECT_EQ(kind_of(CarveWord::blocks(bin_of(256))), Kind::kBlocks);  // 256 blocks
  EXPECT_EQ(kind_of(CarveWord::blocks(bin_of(240))), Kind::kInvalid) << "272 blocks, 256 words";
  EXPECT_EQ(kind_of(CarveWord::blocks(bin_of(1024))), Kind::kInvalid) << "wants two granules";
  EXPECT_EQ(kind_of(CarveWord::blocks(kClassCount)), Kind::kInvalid);
  EXPECT_EQ(kind_of(CarveWord::kBlocks | (std::uint64_t{1} << 63)), Kind::kInvalid);
  EXPECT_EQ(kind_of(CarveWord::pool(kFirstPoolBin, 256)), Kind::kBlocks);
  EXPECT_EQ(kind_of(CarveWord::pool(kBinsPerHeap - 1, 512)), Kind::kBlocks);
  EXPECT_EQ(kind_of(CarveWord::pool(kBinsPerHeap, 256)), Kind::kInvalid);
  EXPECT_EQ(kind_of(CarveWord::pool(kLargeBin, 256)), Kind::kInvalid);
  EXPECT_EQ(kind_of(CarveWord::pool(bin_of(256), 256)), Kind::kInvalid) << "a class has its size";
  for (const std::uint32_t bytes : {0U, 8U, 240U, 264U, 1024U, 65'552U, ~0U}) {
    EXPECT_EQ(kind_of(CarveWord::pool(kFirstPoolBin, bytes)), Kind::kInvalid) << bytes;
  }
  EXPECT_EQ(kind_of(CarveWord::kLarge), Kind::kLarge);
  EXPECT_EQ(kind_of(CarveWord::kLarge | 0x100), Kind::kInvalid);
  EXPECT_EQ(kind_of(0x100), Kind::kInvalid);
  EXPECT_EQ(kind_of(CarveWord::kChunked), Kind::kLarge);
  EXPECT_EQ(kind_of(CarveWord::kChunked | 0x100), Kind::kInvalid);
  EXPECT_EQ(kind_of(4), Kind::kInvalid);
  EXPECT_EQ(kind_of(~std::uint64_t{0}), Kind::kInvalid);
  EXPECT_EQ(view.find_block(4 * kGranuleBytes, kGranules, found), Errc::kNotABlock);
}

TEST_F(CarvingOf, ALargeBlockNeedsACommittedWord) {
  set_span(view, 4, 1, 0);
  view.span_ledger(4).carve.store_release(CarveWord::kLarge);
  EXPECT_EQ(view.carving_of(*view.find_span(4, kGranules)).kind, Carving::Kind::kInvalid);
}

// What find_span() must say about arbitrary descriptors, from the table in span_descriptor.hpp.
std::optional<SpanRef> expected_span(const std::vector<std::uint64_t>& descriptors,
                                     std::uint64_t granule) {
  if (granule >= descriptors.size()) return std::nullopt;
  std::uint64_t first = granule;
  if (SpanDescriptor::decode(descriptors[granule]).state == SpanState::kInterior) {
    const std::uint64_t back = SpanDescriptor::decode(descriptors[granule]).granules;
    if (back > granule) return std::nullopt;
    first = granule - back;
  }
  const SpanDescriptor head = SpanDescriptor::decode(descriptors[first]);
  if (head.state != SpanState::kGranted && head.state != SpanState::kOrphan) return std::nullopt;
  if (first + head.granules <= granule || first + head.granules > descriptors.size()) {
    return std::nullopt;
  }
  if (std::uint64_t{head.word_units} * 256 > std::uint64_t{head.granules} * 4096) {
    return std::nullopt;
  }
  return SpanRef{static_cast<std::uint32_t>(first), head, head.word_units * 256};
}

// Values that are often nearly right, sometimes anything.
std::uint64_t random_descriptor(test::Random& random, std::uint32_t granules) {
  if (random.percent(5)) return random.next();
  return SpanDescriptor{static_cast<SpanState>(random.below(5U)), random.below(4096U),
                        random.percent(80) ? random.below(6U) : random.below(2 * granules),
                        random.percent(80) ? random.below(20U) : random.below(1U << 20)}
      .encode();
}

std::uint64_t random_carve(test::Random& random) {
  if (random.percent(10)) return random.next();
  if (random.percent(30)) return CarveWord::kLarge;
  if (random.percent(30)) {
    return CarveWord::pool(kFirstPoolBin - 1 + random.below(kBinsPerHeap - kFirstPoolBin + 2),
                           random.percent(80) ? 16 * random.below(80U) : random.below(1U << 20));
  }
  return CarveWord::blocks(random.below(kClassCount + 3)) + (random.percent(5) ? 1U : 0U);
}

// The tables end at guard pages: a read out of bounds ends the test.
TEST(RegionViewFuzz, StaysInsideTheWindowWhateverTheTablesSay) {
  constexpr std::uint64_t kReserved = 1024;
  constexpr std::uint64_t kWindow = 512;  // its descriptors fill one page of 4 KiB
  MemoryRegion memory(kReserved);
  memory.open(kWindow);
  const RegionView view = memory.view();
  std::vector<std::uint64_t> descriptors(kWindow);
  std::uint64_t found_blocks = 0;
  const test::SeedRange range = test::seeds(400);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    for (std::uint64_t granule = 0; granule < kWindow; ++granule) {
      descriptors[granule] = random_descriptor(random, kWindow);
      view.descriptor(granule).store_relaxed(descriptors[granule]);
      view.span_ledger(granule).carve.store_relaxed(random_carve(random));
    }
    for (std::uint64_t granule = 0; granule < kWindow; ++granule) {
      const auto span = view.find_span(granule, kWindow);
      const auto expected = expected_span(descriptors, granule);
      ASSERT_EQ(span.has_value(), expected.has_value()) << granule;
      if (!span) continue;
      ASSERT_EQ(span->first, expected->first);
      ASSERT_EQ(span->head, expected->head);
      ASSERT_EQ(span->word_count, expected->word_count);
      const Carving carving = view.carving_of(*span);
      ASSERT_LE(carving.block_count, span->word_count);
      ASSERT_LE(carving.block_bytes * carving.block_count, span->head.granules * kGranuleBytes);
    }
    for (int tries = 0; tries < 2000; ++tries) {
      std::uint64_t offset =
          random.percent(90) ? random.below(kWindow * kGranuleBytes) : random.next();
      if (random.percent(70)) offset &= ~std::uint64_t{0xFFF};
      if (random.percent(50)) offset &= ~std::uint64_t{0xFFFF};
      BlockRef found;
      const Errc errc = view.find_block(offset, kWindow, found);
      ASSERT_EQ(errc == Errc::kNotInRegion, offset >= kWindow * kGranuleBytes);
      if (errc != Errc::kOk) continue;
      ++found_blocks;
      ASSERT_LT(found.index, found.span.word_count);
      ASSERT_EQ(found.word, &view.word(found.span.first, found.index));
      (void)found.word->load_relaxed();  // faults if it lies outside
      ASSERT_LE(found.span.first * kGranuleBytes, offset);
      ASSERT_LE(offset + found.carving.block_bytes,
                (found.span.first + found.span.head.granules) * kGranuleBytes);
    }
  }
  EXPECT_GT(found_blocks, range.count) << "the fuzz hardly ever found a block: it tests nothing";
}

}  // namespace
}  // namespace allot::region
