// The daemon stopped, dead or not there: what is granted goes on being used, and whoever needs the
// daemon is told so in time.

#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/platform/seqpacket.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using std::chrono::milliseconds;
using test::Agent;
using test::ExitNotice;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr milliseconds kShort{100};

// A region like ServedRegion's, and a session with a short deadline.
class DaemonAway : public testing::Test {
 protected:
  ConnectOptions options(milliseconds deadline = kShort) {
    ConnectOptions out = test::options_for(daemon_->client_socket());
    out.deadline = deadline;
    return out;
  }
  Session connect(milliseconds deadline = kShort) {
    return Session::connect(options(deadline)).value();
  }
  test::DaemonProcess& daemon() { return *daemon_; }
  test::RegionCheck check() { return test::check_region(daemon_->control_socket()); }

  void stop_daemon() { daemon_->signal(SIGSTOP); }
  void resume_daemon() { daemon_->signal(SIGCONT); }

  /// Expects that `call` takes at least the deadline and not many times as long.
  template <class Call>
  void expect_in_time(Call call, milliseconds deadline = kShort) {
    const auto start = Clock::now();
    call();
    const auto took = Clock::now() - start;
    EXPECT_GE(took, deadline);
    EXPECT_LT(took, 20 * deadline) << "a busy machine may be slow, but not that slow";
  }

 private:
  std::optional<test::DaemonProcess> daemon_{std::in_place, ALLOT_ALLOTD_PATH};
};

TEST_F(DaemonAway, AStoppedDaemonStopsNobodyForLong) {
  Session session = connect();
  test::HeapOracle oracle(session);
  for (int i = 0; i < 100; ++i) (void)oracle.allocate(64);
  const Handle published = session.publish("here", session.allocate(64)).value();

  stop_daemon();
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

  resume_daemon();
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
  stop_daemon();
  EXPECT_EQ(session.allocate(64), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline);
  EXPECT_EQ(session.allocate(4000), nullptr);
  EXPECT_EQ(session.allocate(2 * kMiB), nullptr);
  resume_daemon();
  // The next answer to be read comes behind all that were late.
  EXPECT_EQ(session.find("nothing").error().errc(), Errc::kNameUnknown);
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
  stop_daemon();
  std::atomic<int> late{0};
  test::run_threads(kThreads, [&](std::size_t) {
    const auto start = Clock::now();
    EXPECT_EQ(session.allocate(10 * kMiB), nullptr);
    EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline) << Session::last_error().message();
    if (Clock::now() - start > 3 * kDeadline) ++late;
  });
  EXPECT_EQ(late.load(), 0) << "of " << kThreads << " threads";
  resume_daemon();
}

TEST_F(DaemonAway, AThreadWithoutAHeapFreesWithoutTheDaemon) {
  constexpr milliseconds kDeadline{500};
  Session session = connect(kDeadline);
  std::vector<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.push_back(session.allocate(64));
  stop_daemon();
  const auto start = Clock::now();
  test::run_threads(1, [&](std::size_t) {
    for (void* const block : blocks) EXPECT_EQ(session.free(block), Errc::kOk);
  });
  EXPECT_LT(Clock::now() - start, 3 * kDeadline) << "a deadline at most, not one for each block";
  resume_daemon();
  EXPECT_EQ(session.find("nothing").error().errc(), Errc::kNameUnknown);
  const auto found = check();
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.live_blocks, 0U);
}

// A queue full of unread messages is not a dead daemon.
TEST_F(DaemonAway, ManyCallsToAStoppedDaemonAreAllLate) {
  Session session = connect(milliseconds(1));
  EXPECT_EQ(session.free(session.allocate(64)), Errc::kOk);
  stop_daemon();
  for (int i = 0; i < 2000; ++i) {
    const auto found = session.find("nothing");
    ASSERT_EQ(found.error().errc(), Errc::kDeadline) << i << ": " << found.error().message();
  }
  resume_daemon();
}

TEST_F(DaemonAway, ConnectingToAStoppedDaemonIsLate) {
  stop_daemon();
  expect_in_time([&] { EXPECT_EQ(Session::connect(options()).error().errc(), Errc::kDeadline); });
  // Again and again, also when nobody else fits into the queue of connections.
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Session::connect(options(milliseconds(10))).error().errc(), Errc::kDeadline);
  }
  resume_daemon();
  Session session = connect(test::kPatience);
  EXPECT_EQ(session.free(session.allocate(100)), Errc::kOk);
}

TEST_F(DaemonAway, ConnectingToAFullQueueIsLate) {
  const test::TemporaryDir directory;
  const auto path = directory.path() / "client.sock";
  const auto listening = platform::listen_seqpacket(path, 0600, 0).value();
  std::vector<platform::Descriptor> queued;
  // Fills the queue without waiting for room.
  for (int i = 0; i < 10; ++i) {
    platform::Descriptor socket(
        ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.native().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
        0) {
      break;
    }
    queued.push_back(std::move(socket));
  }
  ConnectOptions late = test::options_for(path);
  late.deadline = kShort;
  expect_in_time([&] { EXPECT_EQ(Session::connect(late).error().errc(), Errc::kDeadline); });
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

TEST_F(DaemonAway, WithoutADaemonConnectSaysWhereItLooked) {
  const test::TemporaryDir directory;
  ConnectOptions nowhere = test::options_for(directory.path() / "client.sock");
  auto refused = Session::connect(nowhere);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().errc(), Errc::kNoDaemon);
  EXPECT_NE(refused.error().detail.find(nowhere.socket_path.native()), std::string::npos)
      << refused.error().message();

  ::setenv("ALLOT_RUNTIME_DIR", directory.path().c_str(), 1);
  refused = Session::connect();
  EXPECT_EQ(refused.error().errc(), Errc::kNoDaemon);
  EXPECT_NE(refused.error().detail.find(directory.path().native()), std::string::npos);
  EXPECT_NE(refused.error().detail.find("systemctl start allotd"), std::string::npos);

  ::setenv("ALLOT_RUNTIME_DIR", daemon().runtime_dir().c_str(), 1);
  EXPECT_TRUE(Session::connect().has_value());
  ::unsetenv("ALLOT_RUNTIME_DIR");

  ConnectOptions unknown = options();
  unknown.region = "nowhere";
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kUnknownRegion);
  unknown.region = "not a name";
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kBadName);
  unknown.region = std::string(200, 'x');
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kBadName);
  unknown = options();
  unknown.socket_path = std::string(300, 'x');
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kNoDaemon);
}

TEST_F(DaemonAway, ASecondConnectGivesTheSameSession) {
  Session first = connect();
  Session second = connect();
  EXPECT_TRUE(first == second);
  EXPECT_EQ(first.id(), second.id());
  void* const block = first.allocate(100);
  EXPECT_EQ(second.free(block), Errc::kOk);
  first.close();
  EXPECT_EQ(second.allocate(100), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kClosed);
  Session third = connect();
  EXPECT_FALSE(third == first);
  EXPECT_NE(third.id(), first.id());
  EXPECT_EQ(third.free(third.allocate(100)), Errc::kOk);

  // Of many threads at once too.
  third.close();
  std::vector<std::optional<Session>> sessions(8);
  test::run_threads(8, [&](std::size_t i) { sessions[i] = connect(test::kPatience); });
  for (const auto& one : sessions) EXPECT_TRUE(*one == *sessions[0]);
}

}  // namespace
}  // namespace allot
