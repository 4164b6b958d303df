// The audit of a region that changes between two of its slices, as a region in use does: no false
// alarm, a second pass where that helps, and no claim to be exact where it is not.

#include <gtest/gtest.h>

#include "shared/region/audit.hpp"
#include "tests/support/audited_region.hpp"

namespace allot {
namespace {

using detail::OwnWord;
using region::Audit;
using region::AuditReport;
using test::AuditedRegion;
using test::finish;
using test::texts;

TEST(AuditMotion, PutsOneBlockDownToEachRunningHeap) {
  AuditedRegion place;
  place.region.word(place.small, 300).store_release(test::owned_word(place.a, 1));
  const AuditReport report = place.audit();
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_FALSE(report.exact);
  EXPECT_TRUE(report.in_motion);
  EXPECT_EQ(report.block_difference, -1);
  EXPECT_EQ(report.passes, Audit::kDefaultPasses);
  EXPECT_FALSE(place.audit(true).is_clean());
}

TEST(AuditMotion, RepeatsPassThatSawMotion) {
  AuditedRegion place;
  Audit audit(place.region.view(), [&] { return place.input(); });
  // Into the words of the first span; then five blocks are allocated behind the cursor.
  while (audit.report().passes == 0) ASSERT_FALSE(audit.step(100));
  for (int i = 0; i < 50; ++i) ASSERT_FALSE(audit.step(20));
  ASSERT_EQ(audit.report().passes, 1U);
  for (std::uint32_t i = 0; i < 5; ++i) place.allocate(place.small, i + 100, place.a);
  const AuditReport& report = finish(audit, 100);
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_TRUE(report.exact);
  EXPECT_EQ(report.passes, 2U);
  EXPECT_EQ(report.total.live_blocks, 110U);
}

TEST(AuditMotion, DoesNotCallEndlessMotionAViolation) {
  AuditedRegion place;
  std::uint32_t next = 400;
  Audit audit(place.region.view(), [&] { return place.input(); });
  int steps = 0;
  while (!audit.step(500)) {
    // A client allocates and frees between any two slices, far more than one block a heap.
    if (steps++ % 2 == 0) {
      for (int i = 0; i < 9; ++i) place.allocate(place.small, next++, place.a);
    } else {
      for (int i = 0; i < 8; ++i) place.release(place.small, --next, place.a);
    }
    ASSERT_LT(steps, 1000);
  }
  EXPECT_TRUE(audit.report().is_clean()) << texts(audit.report());
  EXPECT_FALSE(audit.report().exact);
  EXPECT_EQ(audit.report().passes, Audit::kDefaultPasses);
}

TEST(AuditMotion, FollowsGrantsAndReturnsBetweenSlices) {
  AuditedRegion place;
  Audit audit(place.region.view(), [&] { return place.input(); });
  int steps = 0;
  while (!audit.step(300)) {
    const std::uint64_t first = place.region.granted(place.b, 2);
    place.region.carve(first, test::kKilobyteBin);
    if (steps++ % 2 == 1) {
      ASSERT_TRUE(place.region->return_spans(place.b, {first}, place.region.now_ns));
    }
    if (steps > 40) break;
  }
  const AuditReport& report = finish(audit, 1000);
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_TRUE(region::check_equation(report.total));
}

TEST(AuditMotion, FollowsGrantThatReachesAcrossTheLimitOfItsPass) {
  AuditedRegion place;
  // The last span of the region goes, and a longer one comes to lie in its place.
  const std::uint64_t last = place.region.granted(place.b, 1);
  ASSERT_EQ(last + 1, place.region->high_water_granules());
  Audit audit(place.region.view(), [&] { return place.input(); });
  while (audit.report().passes == 0) ASSERT_FALSE(audit.step(10));
  for (int i = 0; i < 20; ++i) ASSERT_FALSE(audit.step(10));
  ASSERT_TRUE(place.region->return_spans(place.b, {last}, place.region.now_ns));
  ASSERT_EQ(place.region.granted(place.b, 3), last);
  const AuditReport& report = finish(audit, 1000);
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_TRUE(report.exact);
  EXPECT_EQ(report.passes, 2U);
}

TEST(AuditMotion, FollowsPublishingBetweenSlices) {
  AuditedRegion place;
  Audit audit(place.region.view(), [&] { return place.input(); });
  constexpr std::uint32_t kIndex = 100;
  place.allocate(place.medium, kIndex, place.a, OwnWord::kExposed | OwnWord::kOffered);
  const Handle handle = place.region.handle(place.medium, kIndex);
  int steps = 0;
  while (!audit.step(50)) {
    if (steps == 100) {
      ASSERT_TRUE(place.region->publish(place.a, "late", handle, place.region.now_ns));
    }
    ++steps;
  }
  ASSERT_GT(steps, 100);
  EXPECT_TRUE(audit.report().is_clean()) << texts(audit.report());
  EXPECT_TRUE(audit.report().exact);
}

TEST(AuditMotion, FollowsPublishingInSpanGrantedBetweenSlices) {
  AuditedRegion place;
  Audit audit(place.region.view(), [&] { return place.input(); });
  while (audit.report().passes == 0) ASSERT_FALSE(audit.step(10));
  for (int i = 0; i < 20; ++i) ASSERT_FALSE(audit.step(10));
  // Beyond the limit that this pass has.
  const std::uint64_t first = place.region.granted(place.a, 2);
  place.region.carve(first, test::kKilobyteBin);
  place.allocate(first, 0, place.a, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(
      place.region->publish(place.a, "late", place.region.handle(first, 0), place.region.now_ns));
  // One pass has to do: nothing that is found must be a violation, even if it is the last one.
  while (audit.report().passes == 1) {
    EXPECT_TRUE(audit.report().is_clean()) << texts(audit.report());
    if (audit.step(10)) break;
  }
  EXPECT_TRUE(finish(audit, 1000).is_clean());
}

TEST(AuditMotion, WaitsForGrantThatIsPlannedOnly) {
  AuditedRegion place;
  const auto plan = place.region->plan_grant(place.b, {4, 1, 1024, 1}, test::kPlenty);
  ASSERT_TRUE(plan);
  const AuditReport report = place.audit();
  EXPECT_TRUE(report.is_clean()) << texts(report);
  EXPECT_TRUE(report.in_motion);
  place.region->abandon_grant(*plan);
  EXPECT_TRUE(place.audit().exact);
}

TEST(AuditMotion, KeepsBoundedListOfViolations) {
  AuditedRegion place;
  for (std::uint32_t i = 0; i < 1000; ++i) place.region.word(place.small, i).store_relaxed(0);
  const AuditReport report = place.audit();
  EXPECT_EQ(report.violations.size(), region::kMaxViolations);
  EXPECT_GE(report.violation_count, 1000U);
}

}  // namespace
}  // namespace allot
