// The audit: a healthy region adds up to the byte, accounts and counters that differ are named.
// Faults of words and descriptors: audit_faults_test.cpp; motion: audit_motion_test.cpp.

#include "shared/region/audit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/audited_region.hpp"

namespace allot {
namespace {

using detail::OwnWord;
using region::Audit;
using region::AuditInput;
using region::AuditReport;
using region::Fault;
using test::AuditedRegion;
using test::expect_only;
using test::finish;
using test::texts;
using testing::IsEmpty;

TEST(Audit, FindsNothingInHealthyRegion) {
  const AuditedRegion healthy;
  const AuditReport report = healthy.audit();
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_TRUE(report.exact);
  EXPECT_FALSE(report.in_motion);
  EXPECT_EQ(report.passes, 1U);
  EXPECT_EQ(report.block_difference, 0);
}

TEST(Audit, AddsUpToTheByte) {
  const AuditedRegion healthy;
  const AuditReport report = healthy.audit();
  EXPECT_TRUE(region::check_equation(report.total));
  EXPECT_EQ(report.total.granted_bytes, 9 * region::kGranuleBytes);
  EXPECT_EQ(report.total.granted_bytes, healthy.input().granted_bytes);
  EXPECT_EQ(report.total.spans, 5U);
  EXPECT_EQ(report.orphans, 1U);
  EXPECT_EQ(report.total.live_blocks, 105U);
  EXPECT_EQ(report.total.live_bytes, 101 * 16 + 3 * 1024 + 3 * region::kGranuleBytes);
  EXPECT_EQ(report.total.free_bytes, 127U * 1024);  // of the orphan
  EXPECT_EQ(report.total.cached_bytes,
            (4096 - 101) * 16 + (128 - 2) * 1024 + region::kGranuleBytes);
  EXPECT_EQ(report.total.tail_bytes, 0U);
  EXPECT_EQ(report.kept.blocks, 1U);
  EXPECT_EQ(report.kept.live_bytes, 1024U);
}

TEST(Audit, CountsSessionsBySpansAndByWords) {
  const AuditedRegion healthy;
  const AuditReport report = healthy.audit();
  ASSERT_EQ(report.sessions.size(), 2U);
  const region::SessionSums& a = report.sessions[0];
  const region::SessionSums& b = report.sessions[1];
  EXPECT_EQ(a.session, healthy.a);
  EXPECT_TRUE(region::check_equation(a.space));
  EXPECT_EQ(a.space.granted_bytes, 7 * region::kGranuleBytes);
  EXPECT_EQ(a.space.spans, 4U);
  EXPECT_EQ(a.owned.blocks, 102U);
  EXPECT_EQ(a.owned.offered_blocks, 1U);
  EXPECT_EQ(a.owned.exposed_blocks, 1U);
  EXPECT_EQ(b.session, healthy.b);
  EXPECT_EQ(b.space.granted_bytes, 0U);
  EXPECT_EQ(b.owned.blocks, 2U);
  EXPECT_EQ(b.owned.live_bytes, 16U + 1024);
  EXPECT_EQ(a.heaps, (region::HeapSums{104, 0}));
  EXPECT_EQ(b.heaps, (region::HeapSums{2, 1}));
}

TEST(Audit, CountsTailOfEachClass) {
  for (std::uint32_t bin = 0; bin < region::kClassCount; ++bin) {
    const region::SizeClass& cut = region::kSizeClasses.at(bin);
    AuditedRegion place;
    const std::uint64_t first = place.region.granted(place.a, cut.span_granules, 1,
                                                     cut.span_granules * region::kWordsPerGranule);
    place.region.carve(first, bin);
    const AuditReport report = place.audit();
    EXPECT_TRUE(report.is_clean()) << "bin " << bin << ": " << texts(report);
    const std::uint64_t used = std::uint64_t{cut.block_count} * cut.block_bytes;
    EXPECT_EQ(report.total.tail_bytes, cut.span_granules * region::kGranuleBytes - used);
  }
}

TEST(Audit, SaysTheSameInSlicesOfAnySize) {
  const AuditedRegion healthy;
  const AuditReport whole = healthy.audit();
  for (const std::uint64_t budget : {1U, 7U, 1000U, 5000U}) {
    const AuditReport sliced = healthy.audit(false, budget);
    EXPECT_TRUE(sliced.exact);
    EXPECT_EQ(sliced.total, whole.total);
    EXPECT_EQ(sliced.kept, whole.kept);
    EXPECT_THAT(sliced.violations, IsEmpty()) << texts(sliced);
  }
}

TEST(Audit, TakesTakenLargeBlockForCached) {
  AuditedRegion place;
  place.release(place.large, 0, place.a);
  place.region.word(place.large).store_relaxed(OwnWord::make(OwnWord::kTaken, 100));
  const AuditReport report = place.audit();
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_TRUE(region::check_equation(report.total));
}

TEST(Audit, AcceptsHalfCarvedSpan) {
  AuditedRegion place;
  for (std::uint32_t i = 0; i < 50; ++i) {
    place.region.word(place.empty, i).store_relaxed(OwnWord::make(OwnWord::kFree, i));
  }
  EXPECT_TRUE(place.audit().is_clean());
}

TEST(Audit, AcceptsLargeBlockWhoseCarveWordIsStillToCome) {
  AuditedRegion place;
  place.region.word(place.empty).store_relaxed(test::owned_word(place.a, 3));
  const AuditReport report = place.audit();
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_TRUE(region::check_equation(report.total));
}

TEST(Audit, AcceptsHiddenNameThatIsStillPinned) {
  AuditedRegion place;
  ASSERT_TRUE(place.region->find(place.b, "frame"));
  ASSERT_TRUE(place.region->unpublish(place.a, "frame", place.region.handle(place.medium, 5), false,
                                      place.region.now_ns));
  const AuditReport report = place.audit();
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_EQ(report.kept.blocks, 1U);
}

// --- accounts and counters ---

AuditReport audit_of(const AuditedRegion& place, const AuditInput& input) {
  Audit audit(place.region.view(), AuditedRegion::kGranules, input);
  return finish(audit, 1000);
}

TEST(Audit, NamesAccountsThatDiffer) {
  const AuditedRegion place;
  AuditInput input = place.input();
  input.granted_bytes += 1;
  expect_only(audit_of(place, input), {Fault::kRegionDiffers, 0, 0, 9 * region::kGranuleBytes,
                                       9 * region::kGranuleBytes + 1});
  input = place.input();
  input.orphans = 4;
  expect_only(audit_of(place, input), {Fault::kOrphansDiffer, 0, 0, 1, 4});
}

TEST(Audit, NamesSessionWhoseSpansDifferFromItsAccount) {
  AuditedRegion place;
  // As if the core had forgotten a grant to a, and given it to nobody.
  AuditInput input = place.input();
  input.sessions[0].granted_bytes -= region::kGranuleBytes;
  place.region.view().session(place.a).granted_bytes.store_relaxed(input.sessions[0].granted_bytes);
  expect_only(audit_of(place, input), {Fault::kSessionDiffers, 0, place.a,
                                       7 * region::kGranuleBytes, 6 * region::kGranuleBytes});
}

TEST(Audit, NamesEveryTermOfTheCountersEquation) {
  const AuditedRegion place;
  const auto expect_counters_differ = [&](auto change) {
    AuditInput input = place.input();
    input.quiet = true;
    change(input);
    const AuditReport report = audit_of(place, input);
    ASSERT_EQ(report.violations.size(), 1U) << texts(report);
    EXPECT_EQ(report.violations[0].fault, Fault::kCountersDiffer);
    EXPECT_NE(report.block_difference, 0);
  };
  expect_counters_differ([](AuditInput& input) { ++input.retired_allocations; });
  expect_counters_differ([](AuditInput& input) { ++input.retired_frees; });
  expect_counters_differ([](AuditInput& input) { ++input.recovered_blocks; });
  expect_counters_differ([](AuditInput& input) { ++input.reclaimed_blocks; });
}

TEST(Audit, NamesBlockHandedOutTwiceByCounters) {
  AuditedRegion place;
  auto& bin = place.region.view().heap_ledger(place.heap_of_a).bins[9];
  bin.allocations.add_single_writer(1);
  const AuditReport report = place.audit(true);
  expect_only(report, {Fault::kCountersDiffer, 0, 0, 105, 106});
  EXPECT_EQ(report.block_difference, 1);
}

TEST(Audit, LeavesOneBlockToEachKilledHeap) {
  const AuditedRegion place;
  AuditInput input = place.input();
  input.quiet = true;
  input.retired_allocations += 2;
  input.killed_heaps = 2;
  EXPECT_TRUE(audit_of(place, input).is_clean());
  input.killed_heaps = 1;
  EXPECT_FALSE(audit_of(place, input).is_clean());
}

TEST(Audit, SurvivesCountersThatMakeNoSense) {
  AuditedRegion place;
  auto& bin = place.region.view().heap_ledger(place.heap_of_b).bins[127];
  bin.allocations.store_relaxed(~std::uint64_t{0} / 2);
  bin.frees.store_relaxed(3);
  EXPECT_EQ(place.audit().violation_count, 1U);
}

TEST(Audit, ReadsNoLedgerBeyondTheHeapWindow) {
  AuditedRegion place;
  // Attached, but its ledger page is not there yet: touching it would end this test.
  ASSERT_TRUE(place.region->attach_heap(place.a));
  EXPECT_TRUE(place.audit().is_clean());
}

}  // namespace
}  // namespace allot
