// allotd --supervise: the daemon is killed, another takes over its regions, and its clients go on.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/supervised.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::Agent;
using test::refused;
using test::require;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class DaemonRestart : public testing::Test {
 protected:
  void SetUp() override { allotd_.emplace(); }
  [[nodiscard]] const test::DaemonProcess& daemon() const { return allotd_->supervisor; }
  [[nodiscard]] Session connect() const {
    return Session::connect(test::options_for(daemon().client_socket())).value();
  }
  [[nodiscard]] pid_t worker() const { return allotd_->worker(); }
  /// Kills the daemon and returns when another one is there, though it may not serve as yet.
  void restart() const {
    const pid_t old = allotd_->next_worker(0);
    ASSERT_EQ(::kill(old, SIGKILL), 0);
    (void)allotd_->next_worker(old);
  }
  [[nodiscard]] test::RegionCheck check() const {
    return test::check_region(daemon().control_socket());
  }
  void expect_all_goes_back(Session& session) const {
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.live_blocks, 0U);
    // A return that was not done goes back with the next.
    for (int i = 0; i < 3; ++i) (void)session.trim();
    EXPECT_EQ(check().granted_bytes, 0U);
  }

 private:
  std::optional<test::Supervised> allotd_;
};

TEST_F(DaemonRestart, AllocationsOfAllKindsGoOn) {
  Session session = connect();
  test::HeapOracle oracle(session);
  for (int round = 0; round < 5; ++round) {
    for (const std::size_t size : {16UL, 64UL, 1000UL, 5000UL, 60'000UL, 200'000UL}) {
      for (int i = 0; i < 50; ++i) (void)oracle.allocate(size);
    }
    for (int i = 0; i < 3; ++i) (void)oracle.allocate(10 * kMiB);
    restart();
    oracle.check();
    while (oracle.size() > 200) oracle.free(oracle.size() / 2);
  }
  EXPECT_TRUE(connect() == session) << "not another one beside it";
  EXPECT_TRUE(check().is_clean) << check().text;
  oracle.check();
  oracle.free_all();
  expect_all_goes_back(session);
}

TEST_F(DaemonRestart, AThreadThatIsNewGetsAHeap) {
  Session session = connect();
  restart();
  test::run_threads(4,
                    [&](std::size_t) { EXPECT_EQ(session.free(session.allocate(64)), Errc::kOk); });
  expect_all_goes_back(session);
}

TEST_F(DaemonRestart, AnArenaGrowsOnInItsReservation) {
  Session session = connect();
  {
    ArenaOptions options;
    options.source = session;
    options.checks = ArenaChecks::kOff;
    Arena arena = Arena::reserve(256 * kMiB, options);
    std::vector<void*> blocks;
    for (int i = 0; i < 20; ++i) {
      blocks.push_back(arena.push(3 * kMiB));
      ASSERT_NE(blocks.back(), nullptr) << i;
      std::memset(blocks.back(), i, 3 * kMiB);
      if (i % 4 == 0) restart();
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const auto* const bytes = static_cast<const unsigned char*>(blocks[i]);
      EXPECT_TRUE(std::all_of(bytes, bytes + 3 * kMiB, [&](unsigned char b) { return b == i; }));
    }
    restart();
    (void)arena.pop(30 * kMiB);
    (void)arena.shrink();
    EXPECT_EQ(test::stats_of_region(daemon().control_socket()).reservation_bytes, 256 * kMiB);
  }
  EXPECT_EQ(test::stats_of_region(daemon().control_socket()).reservation_bytes, 0U);
  expect_all_goes_back(session);
}

TEST_F(DaemonRestart, NamesAndPinsStay) {
  Session session = connect();
  void* const block = session.allocate(64);
  restart();
  const Handle handle = session.publish("name", block).value();
  restart();
  EXPECT_EQ(session.find("name").value().address, block);
  restart();
  session.unpublish("name", handle).value();
  EXPECT_TRUE(refused(session.find("name"), Errc::kNameUnknown));
  restart();
  EXPECT_EQ(check().live_blocks, 1U) << "it is pinned";
  session.unpin(handle).value();
  expect_all_goes_back(session);
}

struct Parcel {
  Handle handle;
  std::size_t size_bytes = 0;
  std::uint64_t seed = 0;
};

// Takes what it is handed, and hands on something of its own.
ALLOT_TEST_ROLE(trades_across_restarts) {
  Session session = test::connect_as_told(test);
  for (std::uint64_t seed = 1;; ++seed) {
    const auto parcel = test.receive<Parcel>();
    if (!parcel.handle) break;
    void* const block = session.adopt(parcel.handle).value();
    require(test::holds_pattern(block, parcel.size_bytes, parcel.seed), "other contents");
    require(session.free(block) == Errc::kOk, "not ours");
    const std::size_t size = 1 + seed * 7919 % 100'000;
    void* const fresh = session.allocate(size);
    require(fresh != nullptr, "no memory: " + Session::last_error().message());
    test::fill_block(fresh, size, seed);
    test.send(Parcel{session.offer(fresh).value(), size, seed});
  }
}

TEST_F(DaemonRestart, ProcessesHandBlocksOverAsBefore) {
  Session session = connect();
  Agent agent("trades_across_restarts");
  (void)test::introduce(agent.link(), daemon());
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    const std::size_t size = 1 + seed * 104'729 % 200'000;
    void* const block = session.allocate(size);
    ASSERT_NE(block, nullptr) << Session::last_error().message();
    test::fill_block(block, size, seed);
    agent->send(Parcel{session.offer(block).value(), size, seed});
    if (seed % 20 == 0) restart();
    const auto back = agent->receive<Parcel>();
    void* const taken = session.adopt(back.handle).value();
    EXPECT_TRUE(test::holds_pattern(taken, back.size_bytes, back.seed));
    EXPECT_EQ(session.free(taken), Errc::kOk);
  }
  agent->send(Parcel());
  EXPECT_TRUE(agent.finish());
  const auto found = check();
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.live_blocks, 0U);
}

ALLOT_TEST_ROLE(holds_blocks_across_a_restart) {
  Session session = test::connect_as_told(test);
  for (int i = 0; i < 1000; ++i) require(session.allocate(500) != nullptr, "no memory");
  test.send(1);
  (void)test.receive<int>();
}

TEST_F(DaemonRestart, WhoDiesMeanwhileIsRecovered) {
  Session session = connect();
  for (int round = 0; round < 5; ++round) {
    Agent agent("holds_blocks_across_a_restart");
    const SessionId id = test::introduce(agent.link(), daemon());
    const test::ExitNotice exit(session, id);
    (void)agent->receive<int>();
    const pid_t old = worker();
    ASSERT_GT(old, 0);
    ASSERT_EQ(::kill(old, SIGKILL), 0);
    agent.process().kill();
    EXPECT_TRUE(exit.wait()) << "the watch goes on, too";
  }
  expect_all_goes_back(session);
}

// More than a connection may have unread at once.
TEST_F(DaemonRestart, AThousandWatchesGoOn) {
  constexpr int kWatches = 1000;
  Session session = connect();
  Agent agent("holds_blocks_across_a_restart");
  const SessionId id = test::introduce(agent.link(), daemon());
  std::atomic<int> told{0};
  std::promise<void> all;
  for (int i = 0; i < kWatches; ++i) {
    session
        .on_exit(id,
                 [&] {
                   if (++told == kWatches) all.set_value();
                 })
        .value();
  }
  restart();
  (void)agent->receive<int>();
  agent.process().kill();
  EXPECT_EQ(all.get_future().wait_for(test::kPatience), std::future_status::ready) << told;
  session.close();
}

TEST_F(DaemonRestart, ThreadsGoOnThroughFiftyRestarts) {
  constexpr std::size_t kThreads = 4;
  constexpr int kRestarts = 50;
  const std::uint64_t seed = test::seeds(1).first;
  const test::SeedScope scope(__FILE__, __LINE__, seed);
  Session session = connect();
  std::atomic<bool> done{false};
  std::thread killer([&] {
    for (int i = 0; i < kRestarts && !HasFatalFailure(); ++i) {
      restart();
      // One that serves, every other time.
      if (i % 2 == 0) (void)session.find("nothing");
    }
    done = true;
  });
  test::run_threads(kThreads, [&](std::size_t number) {
    test::Random random(seed + number);
    test::HeapOracle oracle(session);
    for (int round = 0; !done && !HasFailure(); ++round) {
      test::run_random_operations(oracle, random, 300, 300);
      if (round % 4 == 0) (void)session.trim();
    }
    oracle.check();
    oracle.free_all();
  });
  killer.join();
  expect_all_goes_back(session);
}

}  // namespace
}  // namespace allot
