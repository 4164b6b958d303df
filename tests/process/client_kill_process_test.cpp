// Clients that are killed after any store to shared memory, by SIGKILL, while the daemon and others go on.

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/ledger_areas.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/store_trace.hpp"

namespace allot {
namespace {

using test::Agent;
using test::ExitNotice;
using test::require;

constexpr std::array<std::size_t, 3> kGiftSizes{64, 3000, 100'000};

struct Life {
  std::uint64_t stores = 0;  // after which it is killed; 0: it tells how many there are
  std::array<Handle, kGiftSizes.size()> gifts;
};

// A bit of everything that writes to shared memory.
void live(Session& session, const Life& life) {
  for (std::size_t i = 0; i < life.gifts.size(); ++i) {
    void* const gift = session.adopt(life.gifts.at(i)).value();
    require(test::holds_pattern(gift, kGiftSizes.at(i), i), "a gift has other contents");
    if (i != 1) require(session.free(gift) == Errc::kOk, "a gift is not ours");
  }
  std::vector<void*> blocks;
  for (const std::size_t size : {16UL, 64UL, 1000UL, 5000UL, 40'000UL, 200'000UL}) {
    for (int i = 0; i < 4; ++i) blocks.push_back(session.allocate(size));
  }
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    require(session.free(blocks[i]) == Errc::kOk, "our block is not ours");
  }
  const Handle offered = session.offer(blocks[1]).value();
  require(session.retract(offered).value() == blocks[1], "another block");
  (void)session.offer(blocks[3]).value();
  const Handle published = session.publish("name", blocks[5]).value();
  (void)session.find("name").value();
  session.unpublish("name", published).value();
  std::thread([&] {
    require(session.free(session.allocate(500)) == Errc::kOk, "not ours");
  }).join();
  {
    ArenaOptions options;
    options.source = session;
    Arena arena = Arena::reserve(std::size_t{1} << 20, options);
    for (int i = 0; i < 10; ++i) require(arena.push(30'000) != nullptr, "the arena is full");
  }
  (void)session.trim();
}

ALLOT_TEST_ROLE(is_killed_after_a_store) {
  const std::string socket = test.receive_text();
  for (;;) {
    const auto life = test.receive<Life>();
    if (!life.gifts[0]) break;
    const pid_t child = ::fork();
    if (child == 0) {
      Session session = Session::connect(test::options_for(socket)).value();
      test.send(session.id());
      // Opens the windows, and carves what is long to carve: ClientKill stops there.
      for (const std::size_t size : {16UL, 64UL, 1000UL}) {
        require(session.free(session.allocate(size)) == Errc::kOk, "not ours");
      }
      std::uint64_t stores = 0;
      test::trace_each_store(
          test::ledger_areas(), [&] { live(session, life); },
          [&](const test::StoredBytes&) {
            if (++stores == life.stores) ::kill(::getpid(), SIGKILL);
          });
      if (life.stores == 0) test.send(stores);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it ended by itself");
  }
}

class ClientKillProcess : public test::ServedRegion {
 protected:
  void SetUp() override {
    if (!test::kStoreTraceWorks) GTEST_SKIP() << "no trace of stores here";
  }
  [[nodiscard]] Life next_life(std::uint64_t stores) {
    Life life;
    life.stores = stores;
    for (std::size_t i = 0; i < kGiftSizes.size(); ++i) {
      void* const gift = session().allocate(kGiftSizes.at(i));
      test::fill_block(gift, kGiftSizes.at(i), i);
      life.gifts.at(i) = session().offer(gift).value();
    }
    return life;
  }
  /// Of the gifts that were not taken; those that were must be nobody's by now.
  void take_back(const Life& life) {
    for (const Handle gift : life.gifts) {
      if (const auto block = session().retract(gift)) {
        ASSERT_EQ(session().free(*block), Errc::kOk);
      }
    }
    const auto name = session().find("name");
    if (!name) return;
    session().unpublish("name", name->handle).value();
    session().unpin(name->handle).value();
  }
};

TEST_F(ClientKillProcess, NothingIsLostWhereverItHappens) {
  Agent agent("is_killed_after_a_store");
  agent->send_text(daemon().client_socket().native());
  Life life = next_life(0);
  agent->send(life);
  {
    const ExitNotice exit(session(), agent->receive<SessionId>());
    const auto stores = agent->receive<std::uint64_t>();
    ASSERT_TRUE(exit.wait());
    take_back(life);
    RecordProperty("stores", static_cast<int>(stores));
    const auto range = test::seeds(400);  // each store at least once
    for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
      const test::SeedScope scope(__FILE__, __LINE__, seed);
      life = next_life(1 + seed % stores);
      agent->send(life);
      const ExitNotice next(session(), agent->receive<SessionId>());
      ASSERT_TRUE(next.wait());
      take_back(life);
      if (seed % 16 != 0) continue;
      const auto found = check();
      ASSERT_TRUE(found.is_clean) << found.text;
      ASSERT_EQ(found.live_blocks, 0U);
    }
  }
  agent->send(Life());
  EXPECT_TRUE(agent.finish());
  // A large block that one of the dead freed may be the daemon's to take: then trim() does not count it.
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  while (check().granted_bytes != 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << check().text;
    (void)session().trim();
  }
}

}  // namespace
}  // namespace allot
