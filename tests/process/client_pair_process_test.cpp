// Two clients that exchange blocks, each stopped after any of its stores: one is killed and the other goes
// on, or both are, and the daemon while it recovers them. And one that stays stopped stops nobody.

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <allot/session.hpp>
#include <allot/shared_arena.hpp>

#include "tests/support/client_pair.hpp"
#include "tests/support/paired_client.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/store_trace.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

using State = ClientPair::State;
using Clock = std::chrono::steady_clock;

// Two clients 0 and 1, and what becomes of them.
struct Plan {
  std::array<std::uint64_t, 2> stop_at{};
  std::size_t first = 0;   // runs to its stop before the other one begins
  std::size_t victim = 0;  // is killed there
  bool kills_both = false;
  bool waits =
      false;  // the other goes on, or is killed, when the victim is recovered: not beside that
  std::uint64_t daemon_kills = 0;
};

Plan draw_plan(Random& random, const std::array<std::uint64_t, 2>& stores) {
  Plan plan;
  for (const std::size_t side : {0U, 1U}) {
    plan.stop_at.at(side) = 1 + random.below(stores.at(side));
  }
  plan.first = random.below(2U);
  plan.victim = random.below(2U);
  plan.kills_both = random.percent(40);
  plan.waits = random.percent(50);
  if (random.percent(40)) plan.daemon_kills = 1 + random.below(3U);
  return plan;
}

class ClientPairProcess : public testing::Test {
 protected:
  void SetUp() override {
    if (!kStoreTraceWorks) GTEST_SKIP() << "no trace of stores here";
    // That of directory_ has ended.
    await_sessions(control_socket(), 1);
    // How many stores there are. The first to live open windows that those who follow begin with.
    for (int round = 0; round < 2; ++round) {
      const ExitNotice one(session_, pair_.start(0, 0));
      const ExitNotice other(session_, pair_.start(1, 0));
      for (const std::size_t side : {0U, 1U}) {
        ASSERT_EQ(pair_.run(side), State::kEnded);
        stores_.at(side) = pair_.stores(side);
      }
      ASSERT_TRUE(one.wait());
      ASSERT_TRUE(other.wait());
      take_back();
    }
    RecordProperty("stores", static_cast<int>(stores_[0]));
  }
  void TearDown() override {
    if (!kStoreTraceWorks) return;
    EXPECT_TRUE(pair_.finish());
    expect_all_given_back(session_, control_socket());
  }

  [[nodiscard]] std::filesystem::path control_socket() const {
    return allotd_.supervisor.control_socket();
  }
  [[nodiscard]] Session& session() { return session_; }
  [[nodiscard]] ClientPair& pair() { return pair_; }
  [[nodiscard]] const std::array<std::uint64_t, 2>& stores() const { return stores_; }
  [[nodiscard]] std::uint64_t sessions() const {
    return stats_of_region(control_socket()).sessions;
  }
  [[nodiscard]] std::uint64_t kills_in_recovery() const { return kills_in_recovery_; }

  /// What the dead had published, and nobody has taken away.
  void take_back() {
    if (auto arena = SharedArena::attach(session_, kPairArena)) {
      EXPECT_EQ(arena->usage().open_chunks, 0U) << "of the dead";
      arena->unpublish(kPairArena).value();
    }
    end_name(session_, kPairName);
  }
  [[nodiscard]] RegionCheck check() const { return check_region(control_socket()); }
  void expect_clean() const {
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
  }
  void expect_nothing_lives() const {
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.live_blocks, 0U) << found.text;
  }
  /// Kills the daemon at any moment, or while it recovers `dead`; another one comes.
  void kill_daemon(Random& random, const SessionId& dead) {
    const pid_t worker = allotd_.next_worker(0);
    await_moment(random, dead);
    ASSERT_EQ(::kill(worker, SIGKILL), 0);
    allotd_.supervisor.signal(SIGHUP);  // without a pause, however short its life was
    (void)allotd_.next_worker(worker);
    if (state_of(dead) == region::SessionState::kDraining) ++kills_in_recovery_;
  }

 private:
  [[nodiscard]] region::SessionState state_of(const SessionId& id) const {
    const auto entry = read_session(directory_, id.session);
    return static_cast<region::SessionState>(entry.state.load_relaxed());
  }
  void await_moment(Random& random, const SessionId& dead) const {
    std::uint64_t looks = ~std::uint64_t{0};
    if (random.percent(50)) looks = random.below(std::uint64_t{1} << random.below(15U));
    const auto deadline = Clock::now() + kPatience;
    const auto goes_on = [&] {
      const auto state = state_of(dead);
      return state == region::SessionState::kLive || state == region::SessionState::kDetached;
    };
    while (looks-- > 0 && goes_on()) ASSERT_LT(Clock::now(), deadline) << "it is not recovered";
  }

  Supervised allotd_;
  platform::Descriptor directory_{
      std::move(RawSession(allotd_.supervisor.client_socket()).directory)};
  Session session_ = Session::connect(options_for(allotd_.supervisor.client_socket())).value();
  ClientPair pair_{allotd_.supervisor.client_socket()};
  std::array<std::uint64_t, 2> stores_{};
  std::uint64_t kills_in_recovery_ = 0;
};

// One or both are killed.
class OneOfTwo : public ClientPairProcess {
 protected:
  void live_and_die(Random& random, const Plan& plan, bool audits) {
    const std::array<SessionId, 2> ids{pair().start(0, plan.stop_at[0]),
                                       pair().start(1, plan.stop_at[1])};
    const std::array<ExitNotice, 2> exits{ExitNotice(session(), ids[0]),
                                          ExitNotice(session(), ids[1])};
    const std::size_t other = 1 - plan.victim;
    if (stop_both(plan)) {
      ASSERT_EQ(pair().kill(plan.victim), State::kKilled);
      if (!plan.waits) end_or_go_on(plan, other);
      for (std::uint64_t i = 0; i < plan.daemon_kills; ++i) {
        kill_daemon(random, ids.at(plan.victim));
        if (HasFatalFailure()) return;
      }
      ASSERT_TRUE(exits.at(plan.victim).wait());
      if (plan.waits && audits) expect_clean();
      if (plan.waits) end_or_go_on(plan, other);
      if (!plan.kills_both) {
        ASSERT_EQ(pair().wait(other), State::kEnded);
      }
      ++pairs_;
      daemon_kills_ += plan.daemon_kills;
    }
    ASSERT_TRUE(exits[0].wait());
    ASSERT_TRUE(exits[1].wait());
    take_back();
    EXPECT_EQ(sessions(), 1U);
  }
  [[nodiscard]] std::uint64_t pairs() const { return pairs_; }
  [[nodiscard]] std::uint64_t daemon_kills() const { return daemon_kills_; }

 private:
  // False if one of them came to its end before: then both do.
  [[nodiscard]] bool stop_both(const Plan& plan) {
    std::array<State, 2> states{};
    for (const std::size_t side : {plan.first, 1 - plan.first}) states.at(side) = pair().run(side);
    if (states[0] == State::kStopped && states[1] == State::kStopped) return true;
    for (const std::size_t side : {0U, 1U}) {
      if (states.at(side) == State::kStopped) states.at(side) = pair().run(side);
      EXPECT_EQ(states.at(side), State::kEnded);
    }
    return false;
  }
  void end_or_go_on(const Plan& plan, std::size_t side) {
    if (!plan.kills_both) return pair().go_on(side);
    EXPECT_EQ(pair().kill(side), State::kKilled);
  }

  std::uint64_t pairs_ = 0;
  std::uint64_t daemon_kills_ = 0;
};

TEST_F(OneOfTwo, DiesAndTheOtherGoesOn) {
  const auto range = seeds(300);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const SeedScope scope(__FILE__, __LINE__, seed);
    Random random(seed);
    live_and_die(random, draw_plan(random, stores()), seed % 16 == 0);
    if (seed % 16 == 0) expect_nothing_lives();
    if (HasFailure()) break;
  }
  EXPECT_TRUE(range.count == 1 || (pairs() > 0 && daemon_kills() > 0));
  RecordProperty("pairs", static_cast<int>(pairs()));
  RecordProperty("daemon_kills", static_cast<int>(daemon_kills()));
  RecordProperty("kills_in_recovery", static_cast<int>(kills_in_recovery()));
}

class OneIsStopped : public ClientPairProcess {
 protected:
  // Client 1 stops after store number `stop_at`, and client 0 has its life meanwhile.
  void stop_one(std::uint64_t stop_at) {
    const bool connects_first = stop_at % 2 == 0;
    const ExitNotice stopped(session(), pair().start(1, stop_at));
    if (connects_first) (void)pair().start(0, 0);
    const State state = pair().run(1);
    if (!connects_first) (void)pair().start(0, 0);
    ASSERT_EQ(pair().run(0), State::kEnded) << "it waits for the one that is stopped";
    if (state == State::kStopped) {
      ++stopped_at_;
      expect_clean();
      EXPECT_FALSE(stopped.has_come());
      ASSERT_EQ(pair().run(1), State::kEnded);
    }
    ASSERT_TRUE(stopped.wait());
    take_back();
  }
  [[nodiscard]] std::uint64_t stopped_at() const { return stopped_at_; }

 private:
  std::uint64_t stopped_at_ = 0;
};

TEST_F(OneIsStopped, AndTheOtherProgresses) {
  constexpr std::uint64_t kSampled = 60;
  const bool is_each = std::getenv("ALLOT_TEST_EVERY_STATE") != nullptr;
  const std::uint64_t step = is_each ? 1 : std::max<std::uint64_t>(stores()[1] / kSampled, 1);
  for (std::uint64_t at = 1; at <= stores()[1] && !HasFailure(); at += step) {
    SCOPED_TRACE("stopped after store " + std::to_string(at));
    stop_one(at);
  }
  expect_nothing_lives();
  EXPECT_GT(stopped_at(), 0U);
  RecordProperty("stopped_at", static_cast<int>(stopped_at()));
}

}  // namespace
}  // namespace allot::test
