// The audit of ledgers and descriptors that anybody may have scribbled on, at any time: it ends, it
// stays inside what is mapped (the region has guard pages), and its sums still add up.

#include <cstdint>

#include <gtest/gtest.h>

#include "shared/region/audit.hpp"
#include "tests/support/audited_region.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

using detail::OwnWord;
using region::Audit;
using test::AuditedRegion;
using test::Random;

std::uint64_t any_bits(Random& random) {
  switch (random.below(4U)) {
    case 0: return 0;
    case 1: return ~std::uint64_t{0};
    case 2: return random.below(4096U);
    default: return random.next();
  }
}

std::uint32_t any_word(Random& random) {
  const std::uint32_t owner = random.percent(50) ? random.below(20U) : random.below(4096U);
  return OwnWord::make(owner, static_cast<std::uint32_t>(random.next())) |
         (random.percent(20) ? OwnWord::kExposed : 0) |
         (random.percent(20) ? OwnWord::kOffered : 0);
}

std::uint64_t any_carve(Random& random) {
  switch (random.below(4U)) {
    case 0: return region::CarveWord::kLarge;
    case 1: return 0;
    case 2: return any_bits(random);
    default: return region::CarveWord::blocks(random.below(region::kClassCount + 4));
  }
}

std::uint64_t any_descriptor(Random& random) {
  if (random.percent(30)) return any_bits(random);
  return region::SpanDescriptor{static_cast<region::SpanState>(random.below(8U)), random.below(40U),
                                random.below(70U), random.below(64U)}
      .encode();
}

// One store that a member (or, under the daemon's own uid, anybody) can do.
void scribble(AuditedRegion& place, Random& random, bool directory) {
  const region::RegionView view = place.region.view();
  const std::uint64_t granules = place.region->high_water_granules();
  const std::uint64_t granule = random.below(granules);
  switch (random.below(directory ? 6U : 4U)) {
    case 0:
    case 1:
      view.word(granule, random.below(region::kWordsPerGranule)).store_relaxed(any_word(random));
      break;
    case 2: view.span_ledger(granule).carve.store_relaxed(any_carve(random)); break;
    case 3:
      view.heap_ledger(random.below(AuditedRegion::kHeaps))
          .bins[random.below(region::kBinsPerHeap)]
          .allocations.store_relaxed(any_bits(random));
      break;
    case 4: view.descriptor(granule).store_relaxed(any_descriptor(random)); break;
    default:
      view.session(random.below(region::kSessionLimit))
          .state.store_relaxed(static_cast<std::uint32_t>(any_bits(random)));
      view.name(random.below(8U)).handle = any_bits(random);
      view.name(random.below(8U)).state.store_relaxed(random.below(2U));
  }
}

void audit_scribbled(std::uint64_t seed, bool directory, bool between_slices) {
  Random random(seed);
  AuditedRegion place;
  const std::uint32_t stores = 1 + random.below(200U);
  for (std::uint32_t i = 0; i < stores; ++i) scribble(place, random, directory);
  Audit audit(place.region.view(), [&] { return place.input(); });
  const std::uint64_t budget = 1 + random.below(5000U);
  // Three passes over all that can be looked at, and a slice more for each thing to look at.
  const std::uint64_t most = 3 * (AuditedRegion::kGranules * region::kWordsPerGranule + 200'000);
  std::uint64_t steps = 0;
  while (!audit.step(budget)) {
    ASSERT_LT(++steps, most / budget + 100);
    if (between_slices) scribble(place, random, directory);
  }
  const region::AuditReport& report = audit.report();
  EXPECT_TRUE(region::check_equation(report.total));
  for (const region::SessionSums& one : report.sessions) {
    EXPECT_TRUE(region::check_equation(one.space));
  }
  EXPECT_LE(report.violations.size(), region::kMaxViolations);
  for (const region::Violation& one : report.violations) {
    EXPECT_FALSE(region::violation_text(one).empty());
  }
}

TEST(AuditHostile, SurvivesAnyLedger) {
  const auto range = test::seeds(1000);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    test::SeedScope scope(__FILE__, __LINE__, range.first + i);
    audit_scribbled(range.first + i, false, false);
  }
}

TEST(AuditHostile, SurvivesLedgerThatChangesBetweenSlices) {
  const auto range = test::seeds(500);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    test::SeedScope scope(__FILE__, __LINE__, range.first + i);
    audit_scribbled(range.first + i, false, true);
  }
}

TEST(AuditHostile, SurvivesAnyDirectory) {
  const auto range = test::seeds(1000);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    test::SeedScope scope(__FILE__, __LINE__, range.first + i);
    audit_scribbled(range.first + i, true, i % 2 == 0);
  }
}

}  // namespace
}  // namespace allot
