// A thousand sessions with live memory: the daemon is killed and restores them all, then all are killed
// at once. And how long the memory of one of a million blocks is away.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/platform/pidfd.hpp"
#include "shared/platform/seqpacket.hpp"
#include "tests/support/bystander.hpp"
#include "tests/support/many_sessions.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kConfig =
    "max_connections_per_uid = 4096\n"
    "[[region]]\n"
    "name = \"default\"\n"
    "max_sessions = 1100\n"
    "max_sessions_per_uid = 1100\n";
constexpr rlim_t kDescriptors = 4096;  // of the daemon

int milliseconds_since(Clock::time_point begun) {
  return static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun).count());
}

void expect_nothing_but(Session& session, const DaemonProcess& daemon) {
  const RegionCheck found = check_region(daemon.control_socket());
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.live_blocks, 0U);
  EXPECT_EQ(found.orphans, 0U);
  EXPECT_EQ(stats_of_region(daemon.control_socket()).sessions, 1U);
  (void)session.trim();
  EXPECT_EQ(check_region(daemon.control_socket()).granted_bytes, 0U);
}

TEST(StressSessions, AThousandOutliveTheirDaemonAndLeaveNothingWhenAllAreKilled) {
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < kDescriptors) GTEST_SKIP() << "ulimit -Hn is below " << kDescriptors;
  Supervised allotd({.config = kConfig});
  const DaemonProcess& daemon = allotd.supervisor;
  Session watcher = Session::connect(options_for(daemon.client_socket())).value();
  ManySessions many(daemon.client_socket(), 63);
  ASSERT_GE(many.size(), std::size_t{1000});
  std::deque<ExitNotice> exits;
  for (const SessionId& id : many.ids()) exits.emplace_back(watcher, id);

  auto begun = Clock::now();
  ASSERT_EQ(::kill(allotd.daemon(), SIGKILL), 0);
  allotd.wait_until_ready();
  RecordProperty("restore_ms", milliseconds_since(begun));
  many.go_on();
  RecordProperty("resumed_ms", milliseconds_since(begun));
  const RegionCheck found = check_region(daemon.control_socket());
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.live_blocks, many.size() * ManySessions::kBlocksOfOne);
  EXPECT_EQ(stats_of_region(daemon.control_socket()).sessions, many.size() + 1);

  begun = Clock::now();
  many.kill();
  for (const ExitNotice& exit : exits) ASSERT_TRUE(exit.wait());
  RecordProperty("recovery_ms", milliseconds_since(begun));
  RecordProperty("sessions", static_cast<int>(many.size()));
  expect_nothing_but(watcher, daemon);
}

constexpr std::size_t kWords = 1'000'000;

ALLOT_TEST_ROLE(has_a_million_blocks) {
  Session session = connect_as_told(test);
  std::vector<void*> blocks(kWords);
  require(static_cast<bool>(session.allocate_n(64, blocks)), Session::last_error().message());
  test.send(kWords);
  (void)test.receive_text();
}

class StressRecovery : public ServedRegion {
 protected:
  /// Kills so many, one after the other: how long the memory of each was away, sorted. Counted from
  /// the end of the process, which is when its presence file can be sealed.
  std::vector<int> kill_microseconds(std::size_t rounds) {
    std::vector<int> took_us;
    while (took_us.size() < rounds && !HasFailure()) {
      Agent agent("has_a_million_blocks");
      const SessionId id = introduce(agent.link(), daemon());
      const ExitNotice exit(session(), id);
      (void)agent->receive<std::size_t>();
      const auto pidfd = platform::pidfd_open(agent.pid());
      agent.process().signal(SIGKILL);
      EXPECT_TRUE(pidfd && platform::wait_readable(*pidfd, Clock::now() + kPatience));
      const auto ended = Clock::now();
      EXPECT_TRUE(exit.wait());
      took_us.push_back(static_cast<int>(
          std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - ended).count()));
    }
    std::sort(took_us.begin(), took_us.end());
    return took_us;
  }
};

TEST_F(StressRecovery, OfAMillionBlocksAloneAndWhileOthersAreServed) {
  constexpr std::size_t kRounds = 20;
  RecordProperty("words", static_cast<int>(kWords));
  const auto alone = kill_microseconds(kRounds);
  RecordProperty("recovery_median_us", alone.at(alone.size() / 2));
  RecordProperty("recovery_max_us", alone.back());

  Bystander bystander(daemon().client_socket());
  const auto beside = kill_microseconds(kRounds / 2);
  const Bystander::Work work = bystander.finish();
  RecordProperty("recovery_median_us_beside_another", beside.at(beside.size() / 2));
  RecordProperty("longest_round_beside_recovery_us", static_cast<int>(work.longest_round_us));
  await_sessions(daemon().control_socket(), 1);
  expect_nothing_left();
}

}  // namespace
}  // namespace allot::test
