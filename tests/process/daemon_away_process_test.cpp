// The daemon stopped, dead or not there: what is granted goes on being used, and whoever needs the
// daemon is told so in time.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/daemon_with_deadline.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class DaemonAway : public test::DaemonWithDeadline {};

TEST_F(DaemonAway, AStoppedDaemonStopsNobodyForLong) {
  Session session = connect();
  test::HeapOracle oracle(session);
  for (int i = 0; i < 100; ++i) (void)oracle.allocate(64);
  const Handle published = session.publish("here", session.allocate(64)).value();

  daemon().signal(SIGSTOP);
  expect_in_time([&] {
    EXPECT_EQ(session.allocate(10 * kMiB), nullptr);
    EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline) << Session::last_error().message();
  });
  expect_in_time([&] { EXPECT_EQ(session.find("here").error().errc(), Errc::kDeadline); });
  expect_in_time(
      [&] { EXPECT_EQ(session.unpublish("here", published).error().errc(), Errc::kDeadline); });
  void* const block = session.allocate(64);
  expect_in_time([&] { EXPECT_EQ(session.publish("x", block).error().errc(), Errc::kDeadline); });
  EXPECT_EQ(session.free(block), Errc::kOk) << "still ours";
  expect_in_time([&] {
    EXPECT_EQ(session.on_exit({}, [] { ADD_FAILURE() << "after an error"; }).error().errc(),
              Errc::kDeadline);
  });

  // What was granted is used as ever.
  for (int i = 0; i < 500; ++i) (void)oracle.allocate(64);
  while (oracle.size() > 300) oracle.free(0);
  void* const kept = session.allocate(64);
  const Handle handle = session.offer(kept).value();
  EXPECT_EQ(session.adopt(handle).value(), kept);
  EXPECT_EQ(session.free(kept), Errc::kOk);
  oracle.check();

  resume(session);
  for (int i = 0; i < 3000; ++i) (void)oracle.allocate(64);
  oracle.check();
  oracle.free_all();
  EXPECT_EQ(session.find("here").error().errc(), Errc::kNameUnknown) << "the unpublish came late";
  EXPECT_EQ(session.find("x").error().errc(), Errc::kNameUnknown) << "the block was freed";
  const auto found = check();
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.live_blocks, 0U);
}

TEST_F(DaemonAway, AGrantThatComesTooLateIsUsedOrGivenBack) {
  Session session = connect();
  EXPECT_EQ(session.free(session.allocate(64)), Errc::kOk);
  (void)session.trim();
  daemon().signal(SIGSTOP);
  EXPECT_EQ(session.allocate(64), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline);
  EXPECT_EQ(session.allocate(4000), nullptr);
  EXPECT_EQ(session.allocate(2 * kMiB), nullptr);
  resume(session);
  const auto before = check();
  EXPECT_TRUE(before.is_clean) << before.text;
  EXPECT_GE(before.granted_bytes, 2 * kMiB) << "the daemon did grant them";

  void* const small = session.allocate(64);
  void* const large = session.allocate(2 * kMiB);
  ASSERT_TRUE(small != nullptr && large != nullptr);
  EXPECT_EQ(check().granted_bytes, before.granted_bytes) << "nothing was asked for twice";
  EXPECT_EQ(session.free(small), Errc::kOk);
  EXPECT_EQ(session.free(large), Errc::kOk);
  EXPECT_EQ(session.trim(), before.granted_bytes);
  const auto after = check();
  EXPECT_TRUE(after.is_clean) << after.text;
  EXPECT_EQ(after.granted_bytes, 0U);
}

TEST_F(DaemonAway, ThreadsDoNotWaitForEachOthersDeadlines) {
  constexpr milliseconds kDeadline{500};
  constexpr std::size_t kThreads = 8;
  Session session = connect(kDeadline);
  daemon().signal(SIGSTOP);
  std::atomic<int> late{0};
  test::run_threads(kThreads, [&](std::size_t) {
    const auto start = Clock::now();
    EXPECT_EQ(session.allocate(10 * kMiB), nullptr);
    EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline) << Session::last_error().message();
    if (Clock::now() - start > 3 * kDeadline) ++late;
  });
  EXPECT_EQ(late.load(), 0) << "of " << kThreads << " threads";
  resume(session);
}

TEST_F(DaemonAway, AThreadWithoutAHeapFreesWithoutTheDaemon) {
  constexpr milliseconds kDeadline{500};
  Session session = connect(kDeadline);
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(session.allocate(64));
  daemon().signal(SIGSTOP);
  const auto start = Clock::now();
  test::run_threads(1, [&](std::size_t) {
    for (void* const block : blocks) EXPECT_EQ(session.free(block), Errc::kOk);
  });
  EXPECT_LT(Clock::now() - start, 3 * kDeadline) << "a deadline at most, not one for each block";
  resume(session);
  const auto found = check();
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.live_blocks, 0U);
}

// A queue full of unread messages is not a dead daemon.
TEST_F(DaemonAway, ManyCallsToAStoppedDaemonAreAllLate) {
  Session session = connect_hastily(options());
  EXPECT_EQ(session.free(session.allocate(64)), Errc::kOk);
  daemon().signal(SIGSTOP);
  for (int i = 0; i < 2000; ++i) {
    const auto found = session.find("nothing");
    ASSERT_EQ(found.error().errc(), Errc::kDeadline) << i << ": " << found.error().message();
  }
  resume(session);
}

TEST_F(DaemonAway, ADeadDaemonsClientsGoOnWithWhatTheyHave) {
  Session session = connect(test::kPatience);
  test::HeapOracle oracle(session);
  for (int i = 0; i < 2000; ++i) (void)oracle.allocate(64);
  for (int i = 0; i < 20; ++i) (void)oracle.allocate(kMiB);
  const std::size_t reserve = 1000;  // spare spans were granted ahead
  daemon().kill();

  for (std::size_t i = 0; i < reserve; ++i) (void)oracle.allocate(64);
  oracle.check();
  while (oracle.size() > 10) oracle.free(oracle.size() / 2);
  for (int i = 0; i < 10; ++i) (void)oracle.allocate(kMiB);  // cached
  void* const block = session.allocate(64);
  const Handle handle = session.offer(block).value();
  EXPECT_EQ(session.adopt(handle).value(), block);
  EXPECT_EQ(session.free(block), Errc::kOk);

  EXPECT_EQ(session.allocate(100 * kMiB), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kDaemonGone) << Session::last_error().message();
  EXPECT_EQ(session.find("x").error().errc(), Errc::kDaemonGone);
  void* const unpublished = session.allocate(64);
  EXPECT_EQ(session.publish("x", unpublished).error().errc(), Errc::kDaemonGone);
  EXPECT_EQ(session.free(unpublished), Errc::kOk) << "still ours";
  EXPECT_EQ(session.on_exit({}, [] {}).error().errc(), Errc::kNoDaemon);

  // A trim that finds nobody to give to loses nothing.
  EXPECT_EQ(session.trim(), 0U);
  for (std::size_t i = 0; i < reserve; ++i) (void)oracle.allocate(64);
  oracle.check();
  oracle.free_all();
  session.close();
  EXPECT_EQ(Session::connect(options()).error().errc(), Errc::kNoDaemon);
}

TEST_F(DaemonAway, ConnectAfterADaemonsDeathGivesASessionWithTheNext) {
  Session old = connect(test::kPatience);
  auto* const block = static_cast<int*>(old.allocate(sizeof(int)));
  *block = 5;
  const Handle handle = old.offer(block).value();
  daemon().kill();
  EXPECT_EQ(Session::connect(options()).error().errc(), Errc::kNoDaemon) << "not the old one";

  const test::DaemonProcess next(ALLOT_ALLOTD_PATH, {.runtime_dir = daemon().runtime_dir()});
  Session anew = connect(test::kPatience);
  EXPECT_FALSE(anew == old);
  EXPECT_TRUE(connect() == anew);
  EXPECT_EQ(anew.free(anew.allocate(100 * kMiB)), Errc::kOk);
  EXPECT_FALSE(anew.adopt(handle).has_value());
  EXPECT_EQ(anew.free(block), Errc::kNotInRegion);
  EXPECT_EQ(*block, 5);
  EXPECT_EQ(old.retract(handle).value(), block);
  EXPECT_EQ(old.free(block), Errc::kOk);
}

// It serves another region of that name: who is unknown there may live here.
TEST_F(DaemonAway, TheNextDaemonsWordOnAnEarlierRegionsSessionsMeansNothing) {
  // Before there is a thread that watches: TSan cannot fork with one.
  const test::DaemonProcess next(ALLOT_ALLOTD_PATH);
  const test::TemporaryDir directory;
  const auto place = directory.path() / "client.sock";
  std::filesystem::create_symlink(daemon().client_socket(), place);
  Session session = Session::connect(test::options_for(place)).value();
  std::atomic<int> fired{0};
  session.on_exit(session.id(), [&] { ++fired; }).value();
  std::filesystem::remove(place);
  std::filesystem::create_symlink(next.client_socket(), place);
  daemon().kill();
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(session.on_exit(session.id(), [&] { ++fired; }).error().errc(), Errc::kDaemonGone);
    EXPECT_EQ(session.find("x").error().errc(), Errc::kDaemonGone);
  }
  EXPECT_EQ(fired.load(), 0);
}

TEST_F(DaemonAway, AWatchOfADeadDaemonFails) {
  Session session = connect(test::kPatience);
  std::atomic<int> fired{0};
  SessionId other = session.id();
  session.on_exit(other, [&] { ++fired; }).value();
  daemon().kill();
  EXPECT_EQ(session.on_exit(other, [&] { ++fired; }).error().errc(), Errc::kDaemonGone);
  session.close();
  EXPECT_EQ(fired.load(), 0) << "it never heard that the session has ended";
}

}  // namespace
}  // namespace allot
