// Virtual arenas in a region that allotd serves: death with a reservation, late answers.

#include <csignal>
#include <cstring>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/session.hpp>

#include "tests/support/daemon_with_deadline.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::ExitNotice;
using test::require;

constexpr std::size_t kMiB = std::size_t{1} << 20;

ArenaOptions in(const Session& session) {
  ArenaOptions options;
  options.source = session;
  options.checks = ArenaChecks::kOff;
  return options;
}

// Grows, shrinks, clears and makes arenas anew until it is killed.
ALLOT_TEST_ROLE(grows_an_arena) {
  const Session session = test::connect_as_told(test);
  Arena kept = Arena::reserve(kArenaReserveBytes, in(session));
  require(kept.push(5 * kMiB) != nullptr, "no arena");
  test.send(kept.reserved());
  for (;;) {
    Arena arena = Arena::reserve_chained(2 * kMiB, in(session));
    for (int i = 0; i < 30; ++i) {
      void* const block = arena.push(200'000);
      require(block != nullptr, "no memory");
      std::memset(block, i, 200'000);
      if (i == 20) {
        (void)arena.pop(2'000'000);
        (void)arena.shrink();
      }
    }
  }
}

class ArenaInAServedRegion : public test::ServedRegion {};

TEST_F(ArenaInAServedRegion, ASessionThatIsKilledGivesItsReservationsBack) {
  for (int round = 0; round < 20; ++round) {
    Agent agent("grows_an_arena");
    const ExitNotice exit(session(), test::introduce(agent.link(), daemon()));
    EXPECT_EQ(agent->receive<std::size_t>(), kArenaRegionReserveBytes);
    auto stats = test::stats_of_region(daemon().control_socket());
    EXPECT_GE(stats.reservation_bytes, kArenaRegionReserveBytes);
    EXPECT_GE(stats.granted_bytes, 5 * kMiB);
    EXPECT_TRUE(check().is_clean) << check().text;
    agent.process().kill();
    ASSERT_TRUE(exit.wait());
    stats = test::stats_of_region(daemon().control_socket());
    EXPECT_EQ(stats.reservation_bytes, 0U);
    EXPECT_EQ(stats.granted_bytes, 0U);
  }
  expect_nothing_left();
}

class LateGrowth : public test::DaemonWithDeadline {
 protected:
  [[nodiscard]] std::uint64_t reservation_bytes() {
    return test::stats_of_region(daemon().control_socket()).reservation_bytes;
  }
};

TEST_F(LateGrowth, IsTheNextGrowth) {
  Session session = connect();
  Arena arena = Arena::reserve(16 * kMiB, in(session));
  auto* const first = static_cast<char*>(arena.push(1000, 1));
  ASSERT_NE(first, nullptr);
  daemon().signal(SIGSTOP);
  EXPECT_EQ(arena.push(kMiB, 1), nullptr);
  EXPECT_EQ(Arena::last_error(), Errc::kDeadline);
  resume(session);
  EXPECT_EQ(arena.push(2 * kMiB, 1), first + 1000) << "it lies where it would have lain";
  const auto found = check();
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.granted_bytes, arena.committed() + 65'536) << "and its note";
  EXPECT_EQ(arena.release(), Errc::kOk);
  EXPECT_EQ(reservation_bytes(), 0U);
  session.trim();
  EXPECT_EQ(check().granted_bytes, 0U);
}

TEST_F(LateGrowth, AReservationThatCameTooLateEnds) {
  Session session = connect();
  daemon().signal(SIGSTOP);
  EXPECT_FALSE(Arena::reserve(16 * kMiB, in(session)));
  EXPECT_EQ(Arena::last_error(), Errc::kDeadline);
  resume(session);
  EXPECT_NE(session.allocate(300'000), nullptr);
  EXPECT_NE(session.allocate(500'000), nullptr);
  EXPECT_EQ(reservation_bytes(), 0U);
}

TEST_F(LateGrowth, AnArenaReleasedWhileTheDaemonIsStoppedGoesBack) {
  Session session = connect();
  Arena arena = Arena::reserve(16 * kMiB, in(session));
  ASSERT_NE(arena.push(3 * kMiB), nullptr);
  daemon().signal(SIGSTOP);
  EXPECT_EQ(arena.release(), Errc::kOk);
  resume(session);
  EXPECT_NE(session.allocate(300'000), nullptr);
  (void)session.trim();
  EXPECT_FALSE(session.find("nothing")) << "what was only sent has been heard";
  const auto found = check();
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.live_blocks, 1U);
  EXPECT_EQ(reservation_bytes(), 0U);
}

}  // namespace
}  // namespace allot
