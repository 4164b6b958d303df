// Heaps of a region: given to sessions, counted, folded into the totals.

#include "daemon/core/region_core.hpp"

#include <cstdint>

#include <gtest/gtest.h>

#include "tests/support/core_region.hpp"
#include "tests/support/refusal.hpp"

namespace allot::core {
namespace {

using test::CoreRegion;
using test::kPlenty;
using test::refused;

TEST(Heaps, AreEnteredInTheTableWithTheirSession) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  EXPECT_EQ(region.attached_heap(session), 0U);
  EXPECT_EQ(region.attached_heap(session), 1U);
  EXPECT_EQ(region.view().heap(1).session.load_acquire(), session);
  EXPECT_EQ(region.view().session(session).heap_count, 2U);
}

TEST(Heaps, HaveALedgerEach) {
  const FileRange range = RegionCore::heap_range(3);
  EXPECT_EQ(range.file, RegionFile::kLedger);
  EXPECT_EQ(range.offset_bytes, 3U * 8192);
  EXPECT_EQ(range.length_bytes, 8192U);
}

TEST(Heaps, AreLimitedAndTheErrorNamesTheLimit) {
  Limits limits;
  limits.max_heaps = 1;
  CoreRegion region(64, limits);
  const std::uint32_t session = region.open_session();
  (void)region.attached_heap(session);
  const auto second = region->attach_heap(session);
  ASSERT_TRUE(refused(second, Errc::kTooManyHeaps));
  EXPECT_EQ(second.error().detail, "max_heaps = 1");
}

TEST(Heaps, ComeBackWithTheirCountersAddedUpWhenTheirSessionEnds) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint32_t heap = region.attached_heap(session);
  auto& bins = region.view().heap_ledger(heap).bins;
  bins[0].allocations.store_relaxed(10);
  bins[127].allocations.store_relaxed(5);
  bins[127].frees.store_relaxed(4);
  bins[127].block_bytes.store_relaxed(1);
  region.recover(session);
  EXPECT_EQ(region->totals().retired_allocations, 15U);
  EXPECT_EQ(region->totals().retired_frees, 4U);
  EXPECT_EQ(region->totals().killed_heaps, 1U);
  EXPECT_EQ(bins[127].allocations.load_relaxed(), 0U);
  EXPECT_EQ(bins[127].block_bytes.load_relaxed(), 0U);
  EXPECT_EQ(region.view().heap(heap).session.load_acquire(), 0U);
  EXPECT_EQ(region.attached_heap(region.open_session()), heap);
}

TEST(Heaps, OfASessionThatSaidGoodbyeWereNotKilled) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  (void)region.attached_heap(session);
  region->note_goodbye(session);
  region.recover(session);
  EXPECT_EQ(region->totals().killed_heaps, 0U);
}

TEST(Heaps, WhoseLedgerCannotBeCommittedAreGivenBackUntouched) {
  CoreRegion region;  // no heap ledger is open: touching one ends this test
  const std::uint32_t session = region.open_session();
  const auto heap = region->attach_heap(session);
  ASSERT_TRUE(heap);
  region->finish_heap(*heap, false);
  EXPECT_EQ(region.view().heap(*heap).session.load_acquire(), 0U);
  EXPECT_EQ(region.view().session(session).heap_count, 0U);
  EXPECT_EQ(region->attach_heap(session).value(), *heap) << "the id is free again";
  region->finish_heap(*heap, false);
  region.recover(session);
  EXPECT_EQ(region->session_count(), 0U);
  EXPECT_EQ(region->totals().killed_heaps, 0U);
}

TEST(Heaps, BeingCommittedHoldUpTheRecoveryOfTheirSession) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const auto heap = region->attach_heap(session);
  ASSERT_TRUE(heap);
  region->begin_recovery(session);
  EXPECT_TRUE(region->recover_step(kPlenty, 1).empty());
  region.memory().open_heaps(*heap + 1);
  region->finish_heap(*heap, true);
  EXPECT_EQ(region->recover_step(kPlenty, 1).size(), 1U);
}

}  // namespace
}  // namespace allot::core
