// Answers that wait for memory: grants and heaps being committed.

#include <string>
#include <system_error>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/core/service.hpp"
#include "tests/support/pure_daemon.hpp"

namespace allot::core {
namespace {

namespace p = protocol;
using test::PureDaemon;
using testing::HasSubstr;

using Commits = PureDaemon;

TEST_F(Commits, AGrantIsAnsweredOnceItsMemoryIsThere) {
  const auto [connection, welcome] = join();
  const Outcome outcome = handle(connection, p::GrantRequest{2, 2, 512, 1}, 31);
  EXPECT_TRUE(outcome.sends.empty());
  ASSERT_TRUE(outcome.commit);
  EXPECT_EQ(outcome.commit->connection, connection);
  EXPECT_EQ(outcome.commit->region, &core());
  EXPECT_EQ(outcome.commit->high_water_granules, 4U);
  EXPECT_EQ(outcome.commit->ranges.size(), 5U);
  const Outcome after = finish(*outcome.commit);
  ASSERT_EQ(after.sends.size(), 1U);
  EXPECT_EQ(after.sends[0].to, connection);
  EXPECT_EQ(after.sends[0].message.request, 31U);
  const auto& granted = std::get<p::Granted>(after.sends[0].message.body);
  EXPECT_EQ(granted.granules, 2U);
  EXPECT_EQ(granted.count, 2U);
}

TEST_F(Commits, ThatFailAreToldAndCostNothing) {
  const auto [connection, welcome] = join();
  const Outcome outcome = handle(connection, p::GrantRequest{2, 1, 512, 1});
  const Outcome after = finish(
      *outcome.commit, Error(std::make_error_code(std::errc::no_space_on_device), "fallocate"));
  const auto& failure = std::get<p::Failure>(after.sends.at(0).message.body);
  EXPECT_EQ(static_cast<Errc>(failure.errc), Errc::kMachineFull);
  EXPECT_THAT(std::string(p::text(failure.detail)), HasSubstr("fallocate"));
  EXPECT_EQ(core().totals().granted_bytes, 0U);
  EXPECT_EQ(core().extents().free_granules(), 64U);
}

TEST_F(Commits, OfASessionWhoseConnectionClosedAreAnsweredToNobody) {
  const auto [connection, welcome] = join();
  const Outcome outcome = handle(connection, p::GrantRequest{2, 1, 512, 1});
  service.close_connection(connection);
  EXPECT_TRUE(finish(*outcome.commit).sends.empty());
  EXPECT_EQ(core().totals().granted_bytes, 0U);
  EXPECT_EQ(core().extents().free_granules(), 64U);
}

TEST_F(Commits, OfASessionThatDiesAreAbandonedBeforeItsIdIsFree) {
  const auto [connection, welcome] = join();
  const Outcome grant = handle(connection, p::GrantRequest{2, 1, 512, 1});
  const Outcome heap = handle(connection, p::AttachHeap{});
  Service::image_gone(*service.session_of(connection));
  EXPECT_TRUE(service.recover_step(1000, now).empty());
  EXPECT_TRUE(service.session_of(connection));
  const Outcome after = finish(*grant.commit);
  EXPECT_EQ(static_cast<Errc>(std::get<p::Failure>(after.sends.at(0).message.body).errc),
            Errc::kUnknownSession);
  EXPECT_TRUE(service.recover_step(1000, now).empty()) << "the heap's ledger is not there yet";
  (void)finish(*heap.commit);
  (void)recover();
  EXPECT_EQ(core().session_count(), 0U);
  EXPECT_EQ(core().totals().granted_bytes, 0U);
}

TEST_F(Commits, AHeapIsAnsweredOnceItsLedgerIsThere) {
  const auto [connection, welcome] = join();
  const Outcome outcome = handle(connection, p::AttachHeap{}, 32);
  ASSERT_TRUE(outcome.commit);
  EXPECT_EQ(outcome.commit->heap_count, 1U);
  ASSERT_EQ(outcome.commit->ranges.size(), 1U);
  EXPECT_EQ(outcome.commit->ranges[0].length_bytes, sizeof(region::HeapLedger));
  const Outcome after = finish(*outcome.commit);
  ASSERT_EQ(after.sends.size(), 1U);
  EXPECT_EQ(after.sends[0].message.request, 32U);
  EXPECT_EQ(std::get<p::HeapAttached>(after.sends[0].message.body).heap, 0U);
  EXPECT_EQ(ask_for<p::HeapAttached>(connection, p::AttachHeap{}).heap, 1U);
}

TEST_F(Commits, AHeapWhoseLedgerFailsLeavesARegionThatRecovers) {
  const auto [connection, welcome] = join();
  const Outcome outcome = handle(connection, p::AttachHeap{});
  const Outcome after = finish(*outcome.commit, Error(Errc::kSystem, "fallocate"));
  EXPECT_EQ(static_cast<Errc>(std::get<p::Failure>(after.sends.at(0).message.body).errc),
            Errc::kMachineFull);
  Service::image_gone(*service.session_of(connection));
  (void)recover();
  EXPECT_EQ(core().session_count(), 0U);
}

TEST_F(Commits, AGrantBelowTheMachinesFloorIsRefused) {
  const auto [connection, welcome] = join();
  now.available_bytes = limits.available_floor_bytes;
  EXPECT_EQ(errc_of(connection, p::GrantRequest{1, 1, 1024, 1}), Errc::kMachineFull);
}

}  // namespace
}  // namespace allot::core
