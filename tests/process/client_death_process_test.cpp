// Clients that die: at any instruction, with any blocks. Nothing leaks and nothing is handed out
// twice; whoever asked is told.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::ExitNotice;
using test::Link;
using test::Random;
using test::require;

struct Gift {
  Handle handle;
  std::uint64_t size_bytes = 0;
  std::uint64_t seed = 0;
};

// Allocates, frees, offers, retracts and adopts without end. Takes gifts and sends some.
[[noreturn]] void churn(Link& test, Session& session, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::pair<void*, std::size_t>> blocks;
  std::uint64_t next_seed = seed << 32;
  const auto allocate = [&](std::size_t size) {
    void* const block = session.allocate(size);
    if (block != nullptr) blocks.emplace_back(block, size);
    return block;
  };
  for (;;) {
    const std::size_t which = blocks.empty() ? 0 : random.below(blocks.size());
    switch (blocks.empty() ? 0U : random.below(8U)) {
      case 0:
      case 1:
      case 2: (void)allocate(test::any_size(random)); break;
      case 3:
      case 4:
        require(session.free(blocks[which].first) == Errc::kOk, "our block is not ours");
        blocks[which] = blocks.back();
        blocks.pop_back();
        break;
      case 5: (void)session.offer(blocks[which].first).value(); break;
      case 6:
        if (auto handle = session.handle_of(blocks[which].first)) (void)session.retract(*handle);
        break;
      default: {
        if (blocks.size() > 100) (void)session.trim();
        Gift gift{Handle(), 1 + random.below(5000U), ++next_seed};
        void* const block = session.allocate(gift.size_bytes);
        if (block == nullptr) break;
        test::fill_block(block, gift.size_bytes, gift.seed);
        gift.handle = session.offer(block).value();
        test.send(gift);
        const auto got = test.receive<Gift>();
        if (auto adopted = session.adopt(got.handle)) {
          require(test::holds_pattern(*adopted, got.size_bytes, got.seed), "another gift");
          blocks.emplace_back(*adopted, got.size_bytes);
        }
      }
    }
    if (blocks.size() > 200) {
      require(session.free(blocks[which].first) == Errc::kOk, "our block is not ours");
      blocks[which] = blocks.back();
      blocks.pop_back();
    }
  }
}

// Forks a child for each seed; the child connects and churns until it is killed. Forking one small
// process is much faster than starting a program for each.
ALLOT_TEST_ROLE(churning_children) {
  const std::string socket = test.receive_text();
  for (;;) {
    // Gifts that the last child did not come to take lie before it.
    const auto seed = test.skip_to<std::uint64_t>();
    if (seed == 0) return;
    const pid_t child = ::fork();
    if (child == 0) {
      Session session = Session::connect(test::options_for(socket)).value();
      test.send(::getpid());
      test.send(session.id());
      churn(test, session, seed);
    }
    test::await_kill(test, child);
  }
}

class ClientDeath : public test::ServedRegion {};

TEST_F(ClientDeath, NothingIsLeftOfAProcessKilledAtAnyMoment) {
  const auto range = test::seeds(200);
  Agent parent("churning_children");
  parent->send_text(daemon().client_socket().native());
  std::map<void*, Gift> kept;  // gifts of processes that are dead by now
  Random sizes(range.first);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    Random random(seed);
    parent->send(seed);
    const auto child = parent->receive<pid_t>();
    const auto id = parent->receive<SessionId>();
    const ExitNotice exit(session(), id);
    std::vector<Gift> not_taken;
    // Some exchanges, then the end, while the child is at whatever it is at.
    const std::uint32_t exchanges = random.below(12U);
    for (std::uint32_t i = 0; i < exchanges; ++i) {
      const auto gift = parent->receive<Gift>();
      if (random.percent(50)) {
        void* const block = session().adopt(gift.handle).value();
        EXPECT_TRUE(kept.emplace(block, gift).second) << "handed out twice";
      } else {
        not_taken.push_back(gift);
      }
      const std::size_t size = 1 + random.below(5000U);
      void* const block = session().allocate(size);
      ASSERT_NE(block, nullptr) << Session::last_error().message();
      test::fill_block(block, size, seed);
      parent->send(Gift{session().offer(block).value(), size, seed});
    }
    ::kill(child, SIGKILL);
    ASSERT_TRUE(exit.wait());
    (void)parent->skip_to<pid_t>();
    for (const Gift& gift : not_taken) {
      const auto adopted = session().adopt(gift.handle);
      EXPECT_EQ(adopted.has_value() ? Errc::kOk : adopted.error().errc(), Errc::kStaleHandle);
    }
    // Our own offers that it did not come to adopt.
    for (const Handle handle : session().offers()) {
      EXPECT_EQ(session().free(session().retract(handle).value()), Errc::kOk);
    }
    for (const auto& [block, gift] : kept) {
      ASSERT_TRUE(test::holds_pattern(block, gift.size_bytes, gift.seed)) << "of a dead process";
    }
    if (random.percent(20)) expect_live(kept.size());
    while (kept.size() > 50) {
      EXPECT_EQ(session().free(kept.begin()->first), Errc::kOk);
      kept.erase(kept.begin());
    }
    if (HasFailure()) break;
  }
  parent->send(std::uint64_t{0});
  EXPECT_TRUE(parent.finish());
  for (const auto& [block, gift] : kept) EXPECT_EQ(session().free(block), Errc::kOk);
  expect_nothing_left();
}

// Each child of this role connects, allocates a little and is gone without a word.
ALLOT_TEST_ROLE(short_lives) {
  const std::string socket = test.receive_text();
  const auto count = test.receive<int>();
  constexpr int kAtOnce = 8;
  for (int i = 0; i < count + kAtOnce; ++i) {
    if (i >= kAtOnce) {
      int status = 0;
      ::wait(&status);
      require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child has failed");
    }
    if (i >= count || ::fork() != 0) continue;
    Session session = Session::connect(test::options_for(socket)).value();
    for (const std::size_t size : {100U, 5000U, 100'000U}) {
      require(session.allocate(size) != nullptr, Session::last_error().message());
    }
    if (i % 3 == 0) session.close();
    ::_exit(0);
  }
}

TEST_F(ClientDeath, HundredsOfShortLivesLeaveNothing) {
  void* const mine = session().allocate(100);
  test::fill_block(mine, 100, 9);
  Agent parent("short_lives");
  parent->send_text(daemon().client_socket().native());
  parent->send(300);
  EXPECT_TRUE(parent.finish());
  // The last ones may be in recovery still; a session that began later ends after them.
  Agent last("idle");
  const SessionId id = test::introduce(last.link(), daemon());
  const ExitNotice exit(session(), id);
  last.process().kill();
  EXPECT_TRUE(exit.wait());
  EXPECT_TRUE(test::holds_pattern(mine, 100, 9));
  EXPECT_EQ(session().free(mine), Errc::kOk);
  expect_nothing_left();
}

// Connects and waits for words; each is answered by a round of work.
ALLOT_TEST_ROLE(idle) {
  Session session = test::connect_as_told(test);
  void* const block = session.allocate(1000);
  test::fill_block(block, 1000, 4);
  while (test.receive_text() != "end") {
    require(test::holds_pattern(block, 1000, 4), "somebody wrote into our block");
    require(session.free(session.allocate(70'000)) == Errc::kOk, "no large block");
    test.send_text("done");
  }
}

TEST_F(ClientDeath, AStoppedClientIsNotDeadAndHoldsNobodyUp) {
  Agent agent("idle");
  const SessionId id = test::introduce(agent.link(), daemon());
  const ExitNotice exit(session(), id);
  agent->send_text("work");
  EXPECT_EQ(agent->receive_text(), "done");
  agent.process().signal(SIGSTOP);

  test::HeapOracle oracle(session());
  Random random(1);
  test::run_random_operations(oracle, random, 2000, 200);
  oracle.free_all();
  // Others die and are recovered meanwhile.
  Agent other("idle");
  const ExitNotice other_exit(session(), test::introduce(other.link(), daemon()));
  other.process().kill();
  EXPECT_TRUE(other_exit.wait());
  EXPECT_FALSE(exit.has_come());
  expect_live(1);

  agent.process().signal(SIGCONT);
  agent->send_text("work");
  EXPECT_EQ(agent->receive_text(), "done");
  agent->send_text("end");
  EXPECT_TRUE(agent.finish());
  EXPECT_TRUE(exit.wait());
  expect_nothing_left();
}

// Says Hello by hand and waits to be killed: its session never maps anything.
ALLOT_TEST_ROLE(never_maps) {
  test::RawClient client(test.receive_text());
  const auto reply = client.hello();
  const auto& welcome = reply.as<protocol::Welcome>();
  test.send(SessionId{welcome.session, 0, welcome.incarnation});
  (void)test.receive_text();
}

TEST_F(ClientDeath, OneKilledBetweenWelcomeAndMappingLeavesNothing) {
  for (int i = 0; i < 10; ++i) {
    Agent agent("never_maps");
    agent->send_text(daemon().client_socket().native());
    const ExitNotice exit(session(), agent->receive<SessionId>());
    agent.process().kill();
    EXPECT_TRUE(exit.wait());
  }
  expect_nothing_left();
}

}  // namespace
}  // namespace allot
