// A client whose connection is cut, as by a daemon that is killed and comes back: it goes on without
// an error, has lost nothing that it was given, and has nothing twice.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/restarting_relay.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using protocol::Kind;
using test::refused;
using Heard = test::RestartingRelay::Heard;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class Reconnect : public testing::Test {
 protected:
  [[nodiscard]] Session connect() const {
    return Session::connect(test::options_for(relay_.socket())).value();
  }
  [[nodiscard]] test::RestartingRelay& relay() { return relay_; }
  [[nodiscard]] const test::DaemonProcess& daemon() const { return daemon_; }
  [[nodiscard]] test::RegionCheck check() const {
    return test::check_region(daemon_.control_socket());
  }
  [[nodiscard]] test::RegionStats stats() const {
    return test::stats_of_region(daemon_.control_socket());
  }
  /// `session` has freed all: what it has been granted it can give back.
  void expect_all_goes_back(Session& session) {
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.live_blocks, 0U);
    // A return that was not done goes back with the next.
    for (int i = 0; i < 3; ++i) (void)session.trim();
    EXPECT_EQ(check().granted_bytes, 0U);
  }

 private:
  test::DaemonProcess daemon_{ALLOT_ALLOTD_PATH};
  test::RestartingRelay relay_{daemon_.client_socket()};
};

// Each test at both moments: before the daemon has heard of the request, and after it was done.
class ReconnectAt : public Reconnect, public testing::WithParamInterface<Heard> {
 protected:
  /// Expects that `call` meets a request of `kind`, at which the connection is cut.
  template <class Call>
  void cut_at(Kind kind, Call call) {
    const std::size_t before = relay().cuts();
    relay().cut_at(kind, GetParam());
    call();
    EXPECT_EQ(relay().cuts(), before + 1);
  }
};

INSTANTIATE_TEST_SUITE_P(Moments, ReconnectAt, testing::Values(Heard::kNo, Heard::kYes),
                         [](const auto& moment) {
                           return moment.param == Heard::kYes ? "Done" : "NotDone";
                         });

TEST_P(ReconnectAt, AGrantIsNotLost) {
  Session session = connect();
  test::HeapOracle oracle(session);
  cut_at(Kind::kGrantRequest, [&] { (void)oracle.allocate(64); });
  cut_at(Kind::kGrantRequest, [&] { (void)oracle.allocate(5 * kMiB); });
  cut_at(Kind::kGrantRequest, [&] { (void)oracle.allocate(40'000); });
  for (int i = 0; i < 5000; ++i) (void)oracle.allocate(64);
  oracle.check();
  oracle.free_all();
  expect_all_goes_back(session);
}

TEST_P(ReconnectAt, AGrantThatWasAskedForAheadIsNotLost) {
  Session session = connect();
  test::HeapOracle oracle(session);
  for (int round = 0; round < 20; ++round) {
    relay().cut_at(Kind::kGrantRequest, GetParam());
    for (int i = 0; i < 2000; ++i) (void)oracle.allocate(512);
  }
  EXPECT_GE(relay().cuts(), 10U);
  oracle.check();
  oracle.free_all();
  expect_all_goes_back(session);
}

TEST_P(ReconnectAt, ATrimGivesNothingBackTwice) {
  Session session = connect();
  test::HeapOracle oracle(session);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 3000; ++i) (void)oracle.allocate(64);
    for (int i = 0; i < 100; ++i) (void)oracle.allocate(3000);
    for (int i = 0; i < 5; ++i) (void)oracle.allocate(2 * kMiB);
    while (oracle.size() > 500) oracle.free(oracle.size() / 2);
    cut_at(Kind::kReturnSpan, [&] { (void)session.trim(); });
    for (int i = 0; i < 5000; ++i) (void)oracle.allocate(64);
    oracle.check();
    EXPECT_TRUE(check().is_clean) << check().text;
    oracle.free_all();
  }
  expect_all_goes_back(session);
}

// Of many returns the first meets the cut, while the trim has the other spans in its hands.
TEST_P(ReconnectAt, ATrimLeavesTheOthersWhereTheyWerePut) {
  Session session = connect();
  std::vector<void*> kept;
  std::vector<void*> freed;
  for (int i = 0; i < 2000; ++i) {
    void* const block = session.allocate(32 << 10);
    const auto granule = reinterpret_cast<std::uintptr_t>(block) / (64 << 10);
    (granule / 4 % 2 == 0 ? kept : freed).push_back(block);
  }
  ASSERT_TRUE(session.free_n(freed));
  cut_at(Kind::kReturnSpan, [&] { (void)session.trim(); });
  std::set<void*> used(kept.begin(), kept.end());
  for (int i = 0; i < 3000; ++i) {
    void* const block = session.allocate(32 << 10);
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(used.insert(block).second) << "it is in use";
  }
  for (void* const block : used) EXPECT_EQ(session.free(block), Errc::kOk);
  expect_all_goes_back(session);
}

TEST_P(ReconnectAt, ALargeBlockGoesBackOnce) {
  Session session = connect();
  // More than is cached.
  void* const first = session.allocate(60 * kMiB);
  void* const second = session.allocate(60 * kMiB);
  EXPECT_EQ(session.free(first), Errc::kOk);
  cut_at(Kind::kReturnSpan, [&] { EXPECT_EQ(session.free(second), Errc::kOk); });
  void* const again = session.allocate(60 * kMiB);
  void* const other = session.allocate(60 * kMiB);
  ASSERT_TRUE(again != nullptr && other != nullptr);
  EXPECT_NE(again, other);
  EXPECT_EQ(session.free(again), Errc::kOk);
  EXPECT_EQ(session.free(other), Errc::kOk);
  expect_all_goes_back(session);
}

TEST_P(ReconnectAt, AThreadGetsItsHeap) {
  Session session = connect();
  (void)session.free(session.allocate(64));
  cut_at(Kind::kAttachHeap, [&] {
    test::run_threads(
        1, [&](std::size_t) { EXPECT_EQ(session.free(session.allocate(64)), Errc::kOk); });
  });
  test::run_threads(4,
                    [&](std::size_t) { EXPECT_EQ(session.free(session.allocate(64)), Errc::kOk); });
  expect_all_goes_back(session);
}

TEST_P(ReconnectAt, AnArenaGrowsAndShrinksOn) {
  Session session = connect();
  {
    ArenaOptions options;
    options.source = session;
    options.checks = ArenaChecks::kOff;
    std::optional<Arena> arena;
    cut_at(Kind::kReserve, [&] { arena.emplace(Arena::reserve(64 * kMiB, options)); });
    const auto push = [&](int value) {
      void* const block = arena->push(3 * kMiB);
      ASSERT_NE(block, nullptr);
      std::memset(block, value, 3 * kMiB);
    };
    push(1);
    cut_at(Kind::kGrantRequest, [&] {
      for (int i = 0; i < 5; ++i) push(2);
    });
    (void)arena->pop(12 * kMiB);
    cut_at(Kind::kReturnSpan, [&] { (void)arena->shrink(); });
    for (int i = 0; i < 6; ++i) push(3);
    EXPECT_TRUE(check().is_clean) << check().text;
    EXPECT_EQ(stats().reservation_bytes, 64 * kMiB);
    relay().cut_at(Kind::kReturnSpan, GetParam());
  }
  {
    ArenaOptions options;
    options.source = session;
    std::optional<Arena> arena(Arena::reserve(64 * kMiB, options));
    ASSERT_NE(arena->push(1), nullptr);
    cut_at(Kind::kUnreserve, [&] { arena.reset(); });
  }
  (void)session.find("nothing");
  EXPECT_EQ(stats().reservation_bytes, 0U);
  expect_all_goes_back(session);
}

TEST_P(ReconnectAt, NamesArePublishedFoundAndUnpublished) {
  Session session = connect();
  void* const block = session.allocate(64);
  Handle handle;
  cut_at(Kind::kPublish, [&] { handle = session.publish("name", block).value(); });
  cut_at(Kind::kFind, [&] { EXPECT_EQ(session.find("name").value().address, block); });
  EXPECT_EQ(session.find("name").value().address, block);
  session.unpin(handle).value();
  cut_at(Kind::kUnpin, [&] { session.unpin(handle).value(); });
  EXPECT_TRUE(refused(session.unpin(handle), Errc::kNameUnknown));
  cut_at(Kind::kFind, [&] { EXPECT_TRUE(refused(session.find("none"), Errc::kNameUnknown)); });
  void* const other = session.allocate(64);
  cut_at(Kind::kPublish,
         [&] { EXPECT_TRUE(refused(session.publish("name", other), Errc::kNameTaken)); });
  EXPECT_EQ(session.free(other), Errc::kOk);
  cut_at(Kind::kUnpublish, [&] { session.unpublish("name", handle).value(); });
  EXPECT_TRUE(refused(session.unpublish("name", handle), Errc::kNameUnknown));
  expect_all_goes_back(session);
}

// Others: a pin whose find nobody answered would keep it.
TEST_P(ReconnectAt, APublishedBlockGoesWithTheLastPin) {
  Session session = connect();
  const Handle handle = session.publish("name", session.allocate(64)).value();
  cut_at(Kind::kFind, [&] { (void)session.find("name").value(); });
  session.unpublish("name", handle).value();
  EXPECT_EQ(check().live_blocks, 1U);
  relay().cut();
  session.unpin(handle).value();
  expect_all_goes_back(session);
}

// The session goes on at the first call that asks for something, and while nobody asks it is used.
TEST_F(Reconnect, NobodyMeetsAnError) {
  Session session = connect();
  test::HeapOracle oracle(session);
  for (int i = 0; i < 500; ++i) (void)oracle.allocate(64);
  relay().cut();
  for (int i = 0; i < 500; ++i) (void)oracle.allocate(64);
  EXPECT_TRUE(connect() == session) << "not another one beside it";
  relay().cut();
  const auto begun = std::chrono::steady_clock::now();
  void* const large = session.allocate(10 * kMiB);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, test::kPatience / 4);
  EXPECT_EQ(session.free(large), Errc::kOk);
  relay().cut();
  oracle.check();
  oracle.free_all();
  EXPECT_GE(session.trim(), 10 * kMiB);
  expect_all_goes_back(session);
  relay().cut();
  session.close();
}

TEST_F(Reconnect, ASessionThatNobodyKnowsSaysSoAndKeepsItsBlocks) {
  Session session = connect();
  auto* const block = static_cast<int*>(session.allocate(sizeof(int)));
  *block = 5;
  relay().forget_sessions();
  relay().cut();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(session.allocate(10 * kMiB), nullptr);
    const Error& error = Session::last_error();
    EXPECT_EQ(error.errc(), Errc::kDaemonGone);
    for (const char* const word : {"there is no such session", "stay valid", "connect anew"}) {
      EXPECT_NE(error.message().find(word), std::string::npos) << error.message();
    }
  }
  EXPECT_TRUE(refused(session.find("x"), Errc::kDaemonGone));
  EXPECT_EQ(*block, 5);
  EXPECT_EQ(session.adopt(session.offer(block).value()).value(), block);
  EXPECT_EQ(session.free(block), Errc::kOk);
  EXPECT_NE(session.allocate(sizeof(int)), nullptr) << "of what it has";
  Session anew = connect();
  EXPECT_FALSE(anew == session);
  EXPECT_EQ(anew.free(anew.allocate(10 * kMiB)), Errc::kOk);
}

TEST_F(Reconnect, ADaemonThatHasNoRoomAsYetIsAskedAgain) {
  Session session = connect();
  relay().refuse_resumes(3);
  relay().cut();
  EXPECT_EQ(session.free(session.allocate(10 * kMiB)), Errc::kOk)
      << Session::last_error().message();
  expect_all_goes_back(session);
}

TEST_F(Reconnect, ASessionThatEndedBeforeItBeganIsFollowedByAnother) {
  relay().end_next_session();
  Session session = connect();
  EXPECT_EQ(session.free(session.allocate(10 * kMiB)), Errc::kOk)
      << Session::last_error().message();
  expect_all_goes_back(session);
}

ALLOT_TEST_ROLE(is_watched_across_a_restart) {
  const Session session = test::connect_as_told(test);
  (void)test.receive<int>();
}

TEST_F(Reconnect, AWatchGoesOn) {
  Session session = connect();
  test::Agent first("is_watched_across_a_restart");
  test::Agent second("is_watched_across_a_restart");
  const SessionId first_id = test::introduce(first.link(), daemon());
  const SessionId second_id = test::introduce(second.link(), daemon());
  const test::ExitNotice first_exit(session, first_id);
  for (int i = 0; i < 10; ++i) relay().cut();
  const test::ExitNotice second_exit(session, second_id);
  relay().cut();
  EXPECT_FALSE(first_exit.has_come());
  second.process().kill();
  EXPECT_TRUE(second_exit.wait());
  EXPECT_FALSE(first_exit.has_come());
  relay().cut();
  first.process().kill();
  EXPECT_TRUE(first_exit.wait());
}

TEST_F(Reconnect, ThreadsGoOnThroughManyCuts) {
  constexpr std::size_t kThreads = 4;
  constexpr int kRounds = 60;
  const std::uint64_t seed = test::seeds(1).first;
  const test::SeedScope scope(__FILE__, __LINE__, seed);
  Session session = connect();
  std::atomic<std::size_t> running{kThreads};
  std::atomic<std::size_t> steps{0};
  std::thread cutter([&] {
    while (running > 0) {
      const std::size_t seen = steps;
      relay().cut();
      // A daemon that never lives long enough to answer is of no use to anybody.
      while (steps == seen && running > 0) std::this_thread::yield();
    }
  });
  test::run_threads(kThreads, [&](std::size_t number) {
    test::Random random(seed + number);
    test::HeapOracle oracle(session);
    for (int round = 0; round < kRounds && !testing::Test::HasFailure(); ++round) {
      for (int i = 0; i < 10; ++i, ++steps) test::run_random_operations(oracle, random, 40, 300);
      if (round % 4 == 0) (void)session.trim();
      if (round % 8 == 0) {
        const std::string name = "name" + std::to_string(number);
        void* const block = session.allocate(200);
        const auto handle = session.publish(name, block);
        EXPECT_TRUE(handle.has_value()) << handle.error().message();
        const auto found = session.find(name);
        EXPECT_TRUE(found.has_value()) << found.error().message();
        EXPECT_TRUE(session.unpin(*handle).has_value());
        EXPECT_TRUE(session.unpublish(name, *handle).has_value());
      }
    }
    oracle.check();
    oracle.free_all();
    --running;
  });
  cutter.join();
  EXPECT_GT(relay().cuts(), 20U);
  expect_all_goes_back(session);
}

}  // namespace
}  // namespace allot
