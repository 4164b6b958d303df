// What stays after a death until its last block is free: orphans; and large blocks that were freed by
// others and that nobody collects.

#include <cstdint>
#include <optional>

#include <gtest/gtest.h>

#include "daemon/core/region_core.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"
#include "tests/unit/daemon/core/recovery_fixture.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::bin_of;
using region::kGranuleBytes;
using region::SpanState;
using test::kPlenty;
using test::owned_word;
using test::refused;

using Orphans = Recovery;

TEST_F(Orphans, GoWithTheirLastBlockWhenThatIsReported) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(alive, 100, OwnWord::kExposed));
  set_word(first, 1, owned_word(alive, 100, OwnWord::kExposed));
  region.recover(dead);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 101));
  region->note_freed(first, 1);
  EXPECT_EQ(region.descriptor(first).state, SpanState::kOrphan) << "one block is left";
  set_word(first, 1, OwnWord::make(OwnWord::kFreed, 101));
  region->note_freed(first, 1);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region->orphan_count(), 0U);
  EXPECT_FALSE(region->sweep_wanted());
  EXPECT_EQ(region->uid_granted_bytes(1000), 0U);
}

TEST_F(Orphans, AreSweptIfNobodyReportedTheirLastFree) {
  const std::uint64_t first = carved_span(dead);
  const std::uint64_t second = carved_span(dead);
  const std::uint64_t third = carved_span(dead);
  for (const std::uint64_t span : {first, second, third}) set_word(span, 0, owned_word(alive, 100));
  region.recover(dead);
  EXPECT_EQ(region->orphan_count(), 3U);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 100));
  set_word(second, 0, OwnWord::make(OwnWord::kFreed, 100));
  region->sweep(1);
  EXPECT_EQ(region->orphan_count(), 1U);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region.descriptor(second), region::SpanDescriptor{});
  EXPECT_EQ(region.descriptor(third).state, SpanState::kOrphan);
}

TEST_F(Orphans, GoWithTheirLastUser) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(alive, 100, OwnWord::kExposed));
  region.recover(dead);
  region.recover(alive);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  EXPECT_EQ(region->totals().granted_bytes, 0U);
}

TEST_F(Orphans, AreNobodysToReturn) {
  const std::uint64_t first = carved_span(dead);
  set_word(first, 0, owned_word(alive, 100));
  region.recover(dead);
  EXPECT_TRUE(refused(region->return_spans(alive, {first}, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(region->return_spans(0, {first}, 1), Errc::kUnknownSession));
}

// --- adoption ---

struct Adoptions : Recovery {
  static constexpr std::uint64_t kBlockBytes = 256;
  const std::uint32_t bin = bin_of(kBlockBytes);
  const region::SizeClass& cut = region::kSizeClasses.at(bin);
  const std::uint32_t heir = region.open_session(1000);

  // Of user 1000; `alive` has its first `live_blocks` blocks.
  std::uint64_t orphan(std::uint32_t live_blocks = 1) {
    const std::uint32_t owner = region.open_session(1000);
    const std::uint64_t first = carved_span(owner, kBlockBytes);
    for (std::uint32_t i = 0; i < live_blocks; ++i) set_word(first, i, owned_word(alive, 100));
    region.recover(owner);
    return first;
  }
  std::uint64_t news() const { return region.view().header().orphan_news[bin].load_relaxed(); }
  void adopts_nothing(std::uint64_t carve) {
    for (std::uint32_t any = 0; any < region::kClassCount; ++any) {
      EXPECT_FALSE(region->adopt_orphan(heir, any).value()) << carve << ' ' << any;
    }
  }
  std::optional<protocol::Adopted> adopted_by(std::uint32_t session) {
    return region->adopt_orphan(session, bin).value();
  }
};

TEST_F(Adoptions, MakeAnOrphanASpanLikeAnyOther) {
  const std::uint64_t first = orphan();
  const std::uint64_t granted = region->totals().granted_bytes;
  const std::uint64_t bytes = cut.span_granules * kGranuleBytes;
  const auto adopted = adopted_by(heir);
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->first, first);
  EXPECT_EQ(adopted->high_water_granules, region->high_water_granules());
  EXPECT_EQ(region.descriptor(first).state, SpanState::kGranted);
  EXPECT_EQ(region.descriptor(first).session, heir);
  EXPECT_EQ(word(first, 0), owned_word(alive, 100)) << "its blocks are whose they were";
  EXPECT_EQ(region->orphan_count(), 0U);
  EXPECT_EQ(region->session(heir)->granted_bytes, bytes);
  EXPECT_EQ(region->session(heir)->granted_spans, 1U);
  EXPECT_EQ(region.view().session(heir).granted_bytes.load_relaxed(), bytes);
  EXPECT_EQ(region.view().session(heir).granted_spans.load_relaxed(), 1U);
  EXPECT_EQ(region->totals().granted_bytes, granted);
  EXPECT_EQ(region->uid_granted_bytes(1000), granted);

  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 101));
  region->note_freed(first, 1);
  region->sweep(1);
  EXPECT_EQ(region.descriptor(first).session, heir) << "who has it gives it back";
  EXPECT_TRUE(region->return_spans(heir, {first}, 1));
  EXPECT_EQ(region->totals().granted_bytes, 0U);
}

TEST_F(Adoptions, EndInAnOrphanAgain) {
  const std::uint64_t first = orphan();
  ASSERT_TRUE(adopted_by(heir));
  region.recover(heir);
  EXPECT_EQ(region.descriptor(first).state, SpanState::kOrphan);
  const std::uint32_t next = region.open_session(1000);
  const auto adopted = adopted_by(next);
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->first, first);
}

TEST_F(Adoptions, AreForTheirUserWhoStaysCharged) {
  (void)orphan();
  const std::uint32_t stranger = region.open_session(1002);
  EXPECT_FALSE(adopted_by(stranger));
  EXPECT_TRUE(adopted_by(heir));
}

TEST_F(Adoptions, AreForTheSizeThatIsNeededAndRoom) {
  (void)orphan(cut.block_count - cut.block_count / 8);
  EXPECT_FALSE(adopted_by(heir)) << "too few of its blocks are free";
  EXPECT_FALSE(region->adopt_orphan(heir, bin + 1).value());
  EXPECT_FALSE(region->adopt_orphan(heir, bin - 1).value());
  const std::uint64_t roomy = orphan(cut.block_count - cut.block_count / 8 - 1);
  const auto adopted = adopted_by(heir);
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->first, roomy);
  EXPECT_FALSE(adopted_by(heir));
}

TEST_F(Adoptions, AreAnnouncedByNewsOfTheirClass) {
  EXPECT_EQ(news(), 0U);
  const std::uint64_t first = orphan(2);
  EXPECT_EQ(news(), 1U);
  const auto freed = [&](std::uint32_t index) {
    set_word(first, index, OwnWord::make(OwnWord::kFreed, 101));
    region.view().span_ledger(first).hint.store_release(1);
  };
  freed(0);
  region->sweep(1);
  EXPECT_EQ(news(), 2U) << "whether it was reported or not";
  region->note_freed(first, 1);
  EXPECT_EQ(news(), 2U) << "reported, but nothing was freed";
  freed(1);
  region->note_freed(first, 1);
  EXPECT_EQ(news(), 2U) << "it is gone";
  (void)orphan(cut.block_count - 1);
  EXPECT_EQ(news(), 2U) << "too little of it is free";
}

TEST(Adoption, LeavesHalfOfTheQuotaForTheSessionsOwn) {
  core::Limits limits;
  limits.session_quota_bytes = 8 * kGranuleBytes;
  test::CoreRegion region(64, limits);
  const std::uint32_t bin = bin_of(256);
  const std::uint32_t granules = region::kSizeClasses.at(bin).span_granules;
  const std::uint32_t owner = region.open_session(1000);
  const std::uint32_t heir = region.open_session(1000);
  const std::uint64_t first = region.granted(owner, granules);
  region.carve(first, bin);
  region.word(first, 0).store_release(owned_word(heir, 100));
  region.recover(owner);
  const std::uint64_t other = region.granted(heir, 4 - granules + 1);
  EXPECT_FALSE(region->adopt_orphan(heir, bin).value());
  EXPECT_TRUE(region->return_spans(heir, {other}, 1));
  EXPECT_TRUE(region->adopt_orphan(heir, bin).value());
}

TEST_F(Adoptions, ReachEveryOrphanThoughATurnLooksAtAFew) {
  const std::uint32_t tiny = bin_of(region::kMinBlockBytes);
  const region::SizeClass& many = region::kSizeClasses.at(tiny);
  test::CoreRegion large(512);
  const std::uint32_t others = large.open_session(1000);
  const std::uint32_t needy = large.open_session(1000);
  const std::uint32_t owner = large.open_session(1000);
  std::uint64_t roomy = 0;
  for (int i = 0; i < 200; ++i) {
    roomy = large.granted(owner, many.span_granules, 1, many.block_count);
    large.carve(roomy, tiny);
    const std::uint32_t in_use = i == 199 ? 1 : many.block_count;
    for (std::uint32_t word = 0; word < in_use; ++word) {
      large.word(roomy, word).store_release(owned_word(others, 100));
    }
  }
  large.recover(owner);
  EXPECT_FALSE(large->adopt_orphan(needy, tiny).value()) << "a turn must be short";
  std::optional<protocol::Adopted> adopted;
  for (int turns = 0; turns < 10 && !adopted; ++turns) {
    adopted = large->adopt_orphan(needy, tiny).value();
  }
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->first, roomy);
  EXPECT_FALSE(large->adopt_orphan(needy, tiny).value()) << "round and round";
}

TEST_F(Adoptions, BadRequestsAreRefused) {
  (void)orphan();
  EXPECT_TRUE(refused(region->adopt_orphan(heir, region::kLargeBin), Errc::kBadArgument));
  EXPECT_TRUE(refused(region->adopt_orphan(heir, ~std::uint64_t{0}), Errc::kBadArgument));
  EXPECT_TRUE(refused(region->adopt_orphan(0, bin), Errc::kUnknownSession));
  region->begin_recovery(heir);
  EXPECT_FALSE(region->adopt_orphan(heir, bin)) << "it is dead";
}

// The carve word is the word of the dead, or of whoever wrote there since.
TEST_F(Adoptions, BelieveNoCarveWord) {
  for (const std::uint64_t carve :
       {region::CarveWord::kLarge, region::CarveWord::blocks(region::kClassCount - 1),
        region::CarveWord::blocks(255), region::CarveWord::pool(region::kFirstPoolBin, 256),
        ~std::uint64_t{0}}) {
    const std::uint32_t owner = region.open_session(1000);
    const std::uint64_t first = carved_span(owner, region::kMinBlockBytes);  // of the first class
    set_word(first, 1, owned_word(alive, 100));
    region.view().span_ledger(first).carve.store_release(carve);
    region.recover(owner);
    adopts_nothing(carve);
    // Or it is scribbled over later.
    const std::uint32_t next = region.open_session(1000);
    const std::uint64_t second = carved_span(next, region::kMinBlockBytes);
    set_word(second, 1, owned_word(alive, 100));
    region.recover(next);
    region.view().span_ledger(second).carve.store_release(carve);
    adopts_nothing(carve);
  }
}

// --- large blocks that nobody collects ---

struct LargeBlocks : Recovery {
  // A block of `alive`'s that another session freed, which said so at kFreedAt.
  std::uint64_t freed_large() {
    const std::uint64_t first = large_span(alive, 3);
    set_word(first, 0, OwnWord::make(OwnWord::kFreed, 101));
    region->note_freed(first, kFreedAt);
    return first;
  }
  static constexpr std::uint64_t kFreedAt = 1'000'000'000;
  static constexpr std::uint64_t kDelay = 100'000'000;
};

TEST_F(LargeBlocks, AreTakenOnceTheirSessionHadTimeToCollect) {
  const std::uint64_t first = freed_large();
  EXPECT_TRUE(region->sweep_wanted());
  region->sweep(kFreedAt + kDelay - 1);
  EXPECT_EQ(OwnWord::owner(word(first)), OwnWord::kFreed);
  region->sweep(kFreedAt + kDelay);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kTaken, 101));
  EXPECT_FALSE(region->sweep_wanted());
  EXPECT_EQ(region.descriptor(first).session, alive) << "the span stays its session's";
  EXPECT_EQ(region->session(alive)->granted_bytes, 3 * kGranuleBytes);
}

TEST_F(LargeBlocks, WhenTakenArePunchedInSlicesButNotTheirOwnWord) {
  const std::uint64_t first = freed_large();
  region->sweep(kPlenty);
  EXPECT_TRUE(region->punch_wanted());
  std::uint64_t next = first;
  for (const std::uint64_t length : {2U, 1U}) {
    const auto ranges = region->next_punch(2, 0);
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_EQ(ranges[0].file, RegionFile::kData);
    EXPECT_EQ(ranges[0].offset_bytes, next * kGranuleBytes);
    EXPECT_EQ(ranges[0].length_bytes, length * kGranuleBytes);
    next += length;
  }
  EXPECT_FALSE(region->punch_wanted());
  EXPECT_TRUE(region->next_punch(2, kPlenty).empty());
}

TEST_F(LargeBlocks, TakenAndReturnedAreNotPunchedAsTaken) {
  const std::uint64_t first = freed_large();
  region->sweep(kPlenty);
  (void)region->next_punch(1, 0);
  ASSERT_TRUE(region->return_spans(alive, {first}, kFreedAt));
  EXPECT_TRUE(region->next_punch(1, kFreedAt).empty()) << "free memory waits for its delay";
  ASSERT_EQ(region.granted(alive, 3), first);
  EXPECT_FALSE(region->punch_wanted());
}

TEST_F(LargeBlocks, TakenGoWithTheirSession) {
  const std::uint64_t first = freed_large();
  region->sweep(kPlenty);
  region.recover(alive);
  EXPECT_EQ(region.descriptor(first), region::SpanDescriptor{});
  for (const FileRange& range : region.punch_all(kPlenty)) {
    EXPECT_NE(range.length_bytes, 0U);
  }
  EXPECT_EQ(region->dirty_bytes(), 0U);
}

TEST_F(LargeBlocks, CollectedInTimeAreLeftAlone) {
  const std::uint64_t first = freed_large();
  set_word(first, 0, OwnWord::make(OwnWord::kFree, 101));
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFree, 101));
  set_word(first, 0, owned_word(alive, 101));
  region->note_freed(first, kFreedAt);
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), owned_word(alive, 101));
  EXPECT_FALSE(region->punch_wanted());
}

// The session collected the block and cut the span into small blocks, the first of which another
// session freed since: to take that one would punch the bytes of all the others.
TEST_F(LargeBlocks, ThatBecameASpanOfSmallBlocksAreNotTaken) {
  const std::uint64_t first = large_span(alive, 1);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 101));
  region->note_freed(first, kFreedAt);
  region.carve(first, bin_of(256));
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 200));
  set_word(first, 1, owned_word(alive, 200));
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFreed, 200));
  EXPECT_FALSE(region->punch_wanted());
}

TEST_F(LargeBlocks, FreedByRecoveryAreTakenToo) {
  const std::uint64_t first = large_span(alive);
  set_word(first, 0, owned_word(dead, 100, OwnWord::kExposed));
  region.recover(dead);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFreed, 101));
  EXPECT_NE(hint(first), 0U);
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kTaken, 101));
}

TEST_F(LargeBlocks, OfSmallSpansAndStrangersAreNotNoted) {
  const std::uint64_t first = carved_span(alive);
  set_word(first, 0, OwnWord::make(OwnWord::kFreed, 100));
  region->note_freed(first, 1);
  region->note_freed(first + 1, 1);
  region->note_freed(63, 1);
  region->note_freed(64, 1);
  region->note_freed(kPlenty, 1);
  const auto plan = region->plan_grant(alive, {1, 1, 256, 1}, kPlenty);
  ASSERT_TRUE(plan);
  region->note_freed(plan->first, 1);
  EXPECT_FALSE(region->sweep_wanted());
  region->sweep(kPlenty);
  EXPECT_EQ(word(first), OwnWord::make(OwnWord::kFreed, 100));
  region->abandon_grant(*plan);
}

}  // namespace
}  // namespace allot::core
