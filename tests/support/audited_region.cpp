#include "tests/support/audited_region.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace allot::test {

using detail::OwnWord;

AuditedRegion::AuditedRegion() {
  a = region.open_session();
  b = region.open_session();
  const std::uint32_t gone = region.open_session();
  heap_of_a = region.attached_heap(a);
  heap_of_b = region.attached_heap(b);

  small = region.granted(a, 1, 1, region::kWordsPerGranule);
  medium = region.granted(a, 2);
  empty = region.granted(a, 1);
  large = region.granted(a, 3);
  orphan = region.granted(gone, 2);
  region.carve(small, kSmallBin);
  region.carve(medium, kKilobyteBin);
  region.carve_large(large);
  region.carve(orphan, kKilobyteBin);

  for (std::uint32_t i = 0; i < 100; ++i) allocate(small, i, a);
  allocate(small, 200, b, OwnWord::kExposed);
  allocate(medium, 3, a, OwnWord::kExposed | OwnWord::kOffered);
  allocate(large, 0, a);
  allocate(orphan, 7, b, OwnWord::kExposed);
  allocate(medium, 5, a, OwnWord::kExposed | OwnWord::kOffered);
  EXPECT_TRUE(region->publish(a, "frame", region.handle(medium, 5), region.now_ns));
  // Freed by b, not yet collected by a.
  allocate(medium, 6, a);
  release(medium, 6, b);
  region.word(medium, 6).store_relaxed(OwnWord::make(OwnWord::kFreed, 101));

  region->note_goodbye(gone);
  (void)region.recover(gone);
}

void AuditedRegion::allocate(std::uint64_t first, std::uint32_t index, std::uint32_t session,
                             std::uint32_t flags) {
  auto& word = region.word(first, index);
  word.store_release(owned_word(session, OwnWord::generation(word.load_acquire()), flags));
  region.view()
      .heap_ledger(session == a ? heap_of_a : heap_of_b)
      .bins[index % region::kFirstPoolBin]
      .allocations.add_single_writer(1);
}

void AuditedRegion::release(std::uint64_t first, std::uint32_t index, std::uint32_t session) {
  auto& word = region.word(first, index);
  word.store_release(OwnWord::after_free(word.load_acquire(), OwnWord::kFree));
  region.view()
      .heap_ledger(session == a ? heap_of_a : heap_of_b)
      .bins[index % region::kFirstPoolBin]
      .frees.add_single_writer(1);
}

region::AuditInput AuditedRegion::input() const {
  CoreRegion& mutable_region = const_cast<CoreRegion&>(region);
  return core::audit_input(*mutable_region, kGranules, kHeaps);
}

region::AuditReport AuditedRegion::audit(bool quiet, std::uint64_t budget_words) const {
  region::Audit audit(region.view(), [&] {
    region::AuditInput now = input();
    now.quiet = quiet;
    return now;
  });
  return finish(audit, budget_words);
}

const region::AuditReport& finish(region::Audit& audit, std::uint64_t budget_words,
                                  std::uint64_t max_steps) {
  std::uint64_t steps = 0;
  while (!audit.step(budget_words)) {
    if (++steps == max_steps) {
      ADD_FAILURE() << "the audit does not come to an end";
      break;
    }
  }
  return audit.report();
}

std::string texts(const region::AuditReport& report) {
  std::string out;
  for (const region::Violation& one : report.violations) out += violation_text(one) + "\n";
  return out;
}

void expect_only(const region::AuditReport& report, const region::Violation& wanted) {
  EXPECT_THAT(report.violations, testing::ElementsAre(wanted)) << texts(report);
  EXPECT_EQ(report.violation_count, 1U);
  EXPECT_FALSE(report.is_clean());
}

}  // namespace allot::test
