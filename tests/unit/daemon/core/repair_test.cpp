// repair_step(): what no session owns is orphaned or freed, over the tables of a region in use; what a
// session owns stays, whatever a descriptor says.

#include <gtest/gtest.h>

#include "daemon/core/audit_input.hpp"
#include "shared/region/audit.hpp"
#include "tests/support/core_region.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::Fault;
using region::SpanDescriptor;
using region::SpanState;

constexpr std::uint32_t kBin = region::bin_of(1024);
constexpr std::uint32_t kNobody = 3000;

class Repair : public testing::Test {
 protected:
  RegionCore::Repairs repair(std::uint64_t budget_words = 1 << 20) {
    RegionCore::Repairs done;
    std::uint32_t next = 0;
    while (!region_->repair_step(next, budget_words, region_.now_ns, done)) {
    }
    return done;
  }

  region::AuditReport audit() {
    region::AuditInput input = audit_input(*region_, region_->high_water_granules(), 0);
    region::Audit audit(region_.view(), region_->high_water_granules(), input);
    while (!audit.step(1 << 20)) {
    }
    return audit.report();
  }

  void write_head(std::uint64_t first, SpanState state, std::uint32_t session) {
    SpanDescriptor head = region_.descriptor(first);
    head.state = state;
    head.session = session;
    region_.view().descriptor(first).store_release(head.encode());
  }

  // A span of 1 KiB blocks, the first of them owned by `owner`.
  std::uint64_t span_with_block_of(std::uint32_t session, std::uint32_t owner) {
    const std::uint64_t first = region_.granted(session, 2);
    region_.carve(first, kBin);
    region_.word(first).store_release(test::owned_word(owner, 100));
    return first;
  }

  test::CoreRegion region_;
};

TEST_F(Repair, FindsNothingToDoInASoundRegion) {
  const std::uint32_t session = region_.open_session();
  const std::uint64_t first = span_with_block_of(session, session);
  (void)region_.granted(session, 3);
  const RegionCore::Repairs done = repair(1);
  EXPECT_EQ(done.orphaned_spans, 0U);
  EXPECT_EQ(done.rewritten_spans, 0U);
  EXPECT_EQ(done.freed_blocks, 0U);
  EXPECT_EQ(region_.descriptor(first).session, session);
  EXPECT_EQ(OwnWord::owner(region_.word(first).load_relaxed()), session);
}

TEST_F(Repair, OrphansASpanWhoseDescriptorNamesASessionThatIsNotThere) {
  const std::uint32_t owner = region_.open_session();
  const std::uint32_t gone = region_.open_session();
  const std::uint64_t first = span_with_block_of(gone, owner);
  (void)region_.recover(gone);
  ASSERT_EQ(region_->orphan_count(), 1U);
  write_head(first, SpanState::kGranted, kNobody);
  const auto before = audit();
  ASSERT_FALSE(before.is_clean());
  EXPECT_EQ(before.violations.front().fault, Fault::kSpanOfAbsentSession);
  EXPECT_EQ(repair().orphaned_spans, 1U);
  EXPECT_EQ(region_.descriptor(first).state, SpanState::kOrphan);
  EXPECT_EQ(audit().orphans, 1U);
  for (const auto& one : audit().violations) EXPECT_EQ(one.fault, Fault::kCountersDiffer);
  EXPECT_EQ(repair().orphaned_spans, 0U);
}

TEST_F(Repair, OrphansASpanWhoseSessionTheAccountsHaveLost) {
  const std::uint32_t session = region_.open_session();
  const std::uint64_t first = span_with_block_of(session, session);
  region_->extents().find(static_cast<std::uint32_t>(first))->info.session = kNobody;
  write_head(first, SpanState::kGranted, kNobody);
  EXPECT_EQ(repair().orphaned_spans, 1U);
  EXPECT_EQ(region_.descriptor(first).state, SpanState::kOrphan);
  EXPECT_EQ(region_->orphan_count(), 1U);
}

// Its session still takes blocks from it: as an orphan it could be granted to another, too.
TEST_F(Repair, GivesASpanBackToTheSessionThatHasIt) {
  const std::uint32_t session = region_.open_session();
  const std::uint64_t first = span_with_block_of(session, session);
  for (const auto& [state, named] :
       {std::pair{SpanState::kGranted, kNobody}, std::pair{SpanState::kOrphan, 0U}}) {
    write_head(first, state, named);
    const RegionCore::Repairs done = repair();
    EXPECT_EQ(done.rewritten_spans, 1U);
    EXPECT_EQ(done.orphaned_spans, 0U);
    EXPECT_EQ(region_.descriptor(first).state, SpanState::kGranted);
    EXPECT_EQ(region_.descriptor(first).session, session);
  }
  EXPECT_EQ(region_->orphan_count(), 0U);
}

TEST_F(Repair, FreesBlocksThatNobodyOwns) {
  const std::uint32_t session = region_.open_session();
  const std::uint64_t first = span_with_block_of(session, kNobody);
  region_.word(first, 1).store_release(OwnWord::make(OwnWord::kKept, 100) | OwnWord::kExposed);
  region_.word(first, 2).store_release(test::owned_word(session, 100));
  EXPECT_EQ(repair().freed_blocks, 2U);
  EXPECT_EQ(OwnWord::owner(region_.word(first, 0).load_relaxed()), OwnWord::kFreed);
  EXPECT_EQ(OwnWord::owner(region_.word(first, 1).load_relaxed()), OwnWord::kFreed);
  EXPECT_EQ(OwnWord::owner(region_.word(first, 2).load_relaxed()), session);
  EXPECT_EQ(region_.descriptor(first).session, session);
}

TEST_F(Repair, LeavesAGrantAloneThatIsNotFinished) {
  const std::uint32_t session = region_.open_session();
  auto plan = region_->plan_grant(session, {2, 1, 1024, 1}, test::kPlenty);
  ASSERT_TRUE(plan);
  const RegionCore::Repairs done = repair();
  EXPECT_EQ(done.orphaned_spans + done.rewritten_spans, 0U);
  region_->abandon_grant(*plan);
}

}  // namespace
}  // namespace allot::core
