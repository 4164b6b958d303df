// The audit of a region with one fault planted: the fault is named, with the place where it lies.

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shared/region/audit.hpp"
#include "tests/support/audited_region.hpp"

namespace allot {
namespace {

using detail::OwnWord;
using region::AuditReport;
using region::Fault;
using region::SpanDescriptor;
using region::SpanState;
using region::Violation;
using test::AuditedRegion;
using test::expect_only;
using test::texts;
using testing::Contains;
using testing::Field;

// --- planted faults: own words ---

struct WordFault {
  const char* name;
  Fault fault;
  std::uint32_t word;
};

class AuditFaultsOfWord : public testing::TestWithParam<WordFault> {};

TEST_P(AuditFaultsOfWord, NamesPlantedFault) {
  AuditedRegion place;
  const WordFault& planted = GetParam();
  constexpr std::uint32_t kIndex = 77;
  const bool beyond = planted.fault == Fault::kWordBeyondBlocks;
  const std::uint64_t first = beyond ? place.large : place.medium;
  place.region.word(first, kIndex).store_relaxed(planted.word);
  const AuditReport report = place.audit();
  expect_only(report, {planted.fault, first, kIndex, planted.word, 0});
  EXPECT_TRUE(region::check_equation(report.total));
  const std::string text = texts(report);
  EXPECT_THAT(text, testing::HasSubstr("granule " + std::to_string(first)));
  EXPECT_THAT(text, testing::HasSubstr("word 77"));
}

INSTANTIATE_TEST_SUITE_P(
    AllFaults, AuditFaultsOfWord,
    testing::Values(WordFault{"Invalid", Fault::kWordInvalid, 0},
                    WordFault{"InvalidWithGeneration", Fault::kWordInvalid, 5},
                    WordFault{"Beyond", Fault::kWordBeyondBlocks, OwnWord::make(OwnWord::kFree, 9)},
                    WordFault{"LiveBeyond", Fault::kWordBeyondBlocks, OwnWord::make(16, 9)},
                    WordFault{"AbsentOwner", Fault::kOwnerAbsent, OwnWord::make(999, 1)},
                    WordFault{"LastOwner", Fault::kOwnerAbsent, OwnWord::make(4095, 1)},
                    WordFault{"ReservedOwner", Fault::kOwnerReserved, OwnWord::make(5, 1)},
                    WordFault{"LastReservedOwner", Fault::kOwnerReserved, OwnWord::make(15, 1)},
                    WordFault{"TakenInSmallSpan", Fault::kTakenSmallBlock,
                              OwnWord::make(OwnWord::kTaken, 1)},
                    WordFault{"OfferedFree", Fault::kFlagsWrong,
                              OwnWord::make(OwnWord::kFree, 1) | OwnWord::kOffered},
                    WordFault{"ExposedFreed", Fault::kFlagsWrong,
                              OwnWord::make(OwnWord::kFreed, 1) | OwnWord::kExposed},
                    WordFault{"Kept", Fault::kKeptWithoutName,
                              OwnWord::make(OwnWord::kKept, 1) | OwnWord::kExposed}),
    [](const auto& one) { return one.param.name; });

TEST(AuditFaults, NamesLiveWordInUncarvedSpan) {
  AuditedRegion place;
  // Its own session may be about to carve a large block: that is word 0, and no flag is set.
  for (const std::uint32_t word :
       {test::owned_word(place.b, 3), test::owned_word(place.a, 3, OwnWord::kExposed)}) {
    place.region.word(place.empty).store_relaxed(word);
    expect_only(place.audit(), {Fault::kWordBeyondBlocks, place.empty, 0, word, 0});
  }
  const std::uint32_t word = test::owned_word(place.a, 3);
  place.region.word(place.empty).store_relaxed(0);
  place.region.word(place.empty, 1).store_relaxed(word);
  expect_only(place.audit(), {Fault::kWordBeyondBlocks, place.empty, 1, word, 0});
}

TEST(AuditFaults, NamesEachBlockOfAnAbsentOwner) {
  AuditedRegion place;
  for (std::uint32_t i = 10; i < 20; ++i) {
    place.region.word(place.small, i).store_relaxed(test::owned_word(999, i));
  }
  const AuditReport report = place.audit();
  EXPECT_EQ(report.violation_count, 10U) << texts(report);
}

TEST(AuditFaults, NamesKeptWordWithWrongFlags) {
  for (const std::uint32_t flags : {0U, OwnWord::kExposed | OwnWord::kOffered}) {
    AuditedRegion place;
    const std::uint32_t word = test::owned_word(OwnWord::kKept, 100, flags);
    place.region.word(place.medium, 5).store_relaxed(word);
    expect_only(place.audit(), {Fault::kFlagsWrong, place.medium, 5, word, 0});
  }
}

TEST(AuditFaults, NamesCarvingThatMakesNoSense) {
  for (const std::uint64_t carve :
       {std::uint64_t{4}, region::CarveWord::blocks(region::kClassCount),
        region::CarveWord::blocks(test::kSmallBin), region::CarveWord::kLarge | 1U << 8,
        std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    AuditedRegion place;
    place.region.view().span_ledger(place.medium).carve.store_release(carve);
    const AuditReport report = place.audit();
    // The name's block is lost with the carving, and says so.
    ASSERT_EQ(report.violations.size(), 2U) << texts(report);
    EXPECT_EQ(report.violations[0], (Violation{Fault::kCarveInvalid, place.medium, 0, carve, 0}));
    EXPECT_EQ(report.violations[1].fault, Fault::kNameWithoutBlock);
    EXPECT_TRUE(region::check_equation(report.total));
    EXPECT_EQ(report.total.tail_bytes, 2 * region::kGranuleBytes);
  }
}

// --- planted faults: the directory ---

TEST(AuditFaults, NamesMalformedDescriptors) {
  const SpanDescriptor sound{SpanState::kGranted, 16, 1, 4};
  struct Case {
    const char* what;
    std::uint64_t bits;
  };
  const SpanDescriptor beyond{SpanState::kGranted, 16, 63, 4};
  const SpanDescriptor empty{SpanState::kGranted, 16, 0, 4};
  const SpanDescriptor wordless{SpanState::kGranted, 16, 1, 0};
  const SpanDescriptor wordy{SpanState::kGranted, 16, 1, 17};
  const SpanDescriptor nobodys{SpanState::kGranted, 3, 1, 4};
  const SpanDescriptor owned_orphan{SpanState::kOrphan, 16, 1, 4};
  for (const Case& one :
       {Case{"state", 5}, Case{"beyond the window", beyond.encode()},
        Case{"no granules", empty.encode()}, Case{"no words", wordless.encode()},
        Case{"too many words", wordy.encode()}, Case{"special owner", nobodys.encode()},
        Case{"orphan with an owner", owned_orphan.encode()},
        Case{"spare bits", sound.encode() | std::uint64_t{1} << 63}}) {
    AuditedRegion place;
    place.region.view().descriptor(place.empty).store_release(one.bits);
    const AuditReport report = place.audit();
    ASSERT_FALSE(report.violations.empty()) << one.what;
    EXPECT_EQ(report.violations[0],
              (Violation{Fault::kDescriptorMalformed, place.empty, 0, one.bits, 0}))
        << one.what << ": " << texts(report);
    // Its bytes are missing in the sums, too.
    EXPECT_EQ(report.violations.size(), 3U) << texts(report);
  }
}

TEST(AuditFaults, NamesInteriorThatPointsNowhere) {
  AuditedRegion place;
  const std::uint64_t bits = SpanDescriptor{SpanState::kInterior, 0, 1, 0}.encode();
  const std::uint64_t stray = place.region->high_water_granules() - 1;
  ASSERT_EQ(stray, place.orphan + 1);
  // Erase the orphan's head: its interior is a stray, and an orphan is missing.
  place.region.view().descriptor(place.orphan).store_release(0);
  const AuditReport report = place.audit();
  ASSERT_FALSE(report.violations.empty());
  EXPECT_EQ(report.violations[0], (Violation{Fault::kInteriorStray, stray, 0, bits, 0}));
  EXPECT_THAT(report.violations, Contains(Field(&Violation::fault, Fault::kOrphansDiffer)));
}

TEST(AuditFaults, NamesInteriorThatPointsToAnotherSpan) {
  AuditedRegion place;
  const std::uint64_t bits = SpanDescriptor{SpanState::kInterior, 0, 9, 0}.encode();
  place.region.view().descriptor(place.large + 2).store_release(bits);
  const std::uint64_t wanted = SpanDescriptor{SpanState::kInterior, 0, 2, 0}.encode();
  expect_only(place.audit(), {Fault::kInteriorStray, place.large + 2, 0, bits, wanted});
}

TEST(AuditFaults, NamesSpanOfAbsentSession) {
  AuditedRegion place;
  place.region.view()
      .descriptor(place.empty)
      .store_release(SpanDescriptor{SpanState::kGranted, 999, 1, 4}.encode());
  const AuditReport report = place.audit();
  ASSERT_EQ(report.violations.size(), 2U) << texts(report);
  EXPECT_EQ(report.violations[0], (Violation{Fault::kSpanOfAbsentSession, place.empty, 0, 999, 0}));
  EXPECT_EQ(report.violations[1].fault, Fault::kSessionDiffers);
}

TEST(AuditFaults, NamesNameWhoseBlockIsNotKept) {
  AuditedRegion place;
  const std::uint32_t word = test::owned_word(place.a, 100, OwnWord::kExposed);
  place.region.word(place.medium, 5).store_relaxed(word);
  expect_only(place.audit(), {Fault::kNameWithoutBlock, place.medium, 0, word, 0});
}

TEST(AuditFaults, NamesNameThatPointsNowhere) {
  AuditedRegion place;
  auto& entry = place.region.view().name(0);
  for (const Handle handle :
       {Handle::make(test::kRegionTag, 50 * region::kGranuleBytes, 1),
        Handle::make(test::kRegionTag + 1, 0, 1), Handle(), Handle::from_bits(~std::uint64_t{0})}) {
    entry.handle = handle.bits();
    const AuditReport report = place.audit();
    ASSERT_EQ(report.violations.size(), 2U) << texts(report);
    EXPECT_EQ(report.violations[0].fault, Fault::kKeptWithoutName);
    EXPECT_EQ(report.violations[1].fault, Fault::kNameWithoutBlock);
  }
}

TEST(AuditFaults, NamesSessionTableThatDiffers) {
  AuditedRegion place;
  place.region.view().session(place.a).granted_bytes.store_relaxed(12);
  expect_only(place.audit(), {Fault::kTableDiffers, 0, place.a, 12, 7 * region::kGranuleBytes});
}

TEST(AuditFaults, NamesSessionThatOnlyTheTableKnows) {
  AuditedRegion place;
  place.region.view().session(500).state.store_release(1);
  expect_only(place.audit(), {Fault::kTableState, 0, 500, 1, 0});
}

TEST(AuditFaults, NamesSessionThatTheTableLost) {
  AuditedRegion place;
  place.region.view().session(place.b).state.store_release(0);
  const AuditReport report = place.audit();
  EXPECT_THAT(report.violations, Contains(Violation{Fault::kTableState, 0, place.b, 0, 1}))
      << texts(report);
}

}  // namespace
}  // namespace allot
