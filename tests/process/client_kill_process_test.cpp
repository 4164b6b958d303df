// Clients that are killed after any store to shared memory, by SIGKILL, while the daemon and others go on.

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/client_life.hpp"
#include "tests/support/heap_oracle.hpp"
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
  std::array<char, 8> name{};  // that it publishes
  bool frees_notes = false;    // see open_windows()
};

// A bit of everything that writes to shared memory.
void live(Session& session, const Life& life) {
  for (std::size_t i = 0; i < life.gifts.size(); ++i) {
    void* const gift = session.adopt(life.gifts.at(i)).value();
    require(test::holds_pattern(gift, kGiftSizes.at(i), i), "a gift has other contents");
    if (i != 1) require(session.free(gift) == Errc::kOk, "a gift is not ours");
  }
  const auto blocks = test::allocate_and_free(session);
  const Handle offered = session.offer(blocks[0].address).value();
  require(session.retract(offered).value() == blocks[0].address, "another block");
  (void)session.offer(blocks[1].address).value();
  const Handle published = session.publish(life.name.data(), blocks[2].address).value();
  (void)session.find(life.name.data()).value();
  session.unpublish(life.name.data(), published).value();
  test::allocate_in_a_thread(session);
  test::use_an_arena(session);
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
      Arena kept = test::open_windows(session);
      if (life.frees_notes) kept = Arena();
      const std::uint64_t stores =
          test::run_to_store(life.stores, SIGKILL, [&] { live(session, life); });
      if (life.stores == 0) test.send(stores);
      ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it ended by itself");
  }
}

// A process that starts one client after another, and the latest of them.
struct Victim {
  explicit Victim(char number) : life{0, {}, {'n', number}, false} {}
  Agent agent{"is_killed_after_a_store"};
  Life life;
  std::optional<ExitNotice> exit;  // until it is dead and recovered
};

class ClientKillProcess : public test::ServedRegion {
 protected:
  void SetUp() override {
    if (!test::kStoreTraceWorks) GTEST_SKIP() << "no trace of stores here";
    for (Victim& one : victims_) one.agent->send_text(daemon().client_socket().native());
    // The first to live opens windows that those who follow begin with.
    for (int round = 0; round < 2; ++round) {
      for (const bool frees_notes : {false, true}) {
        Victim& victim = victims_.front();
        start(victim, 0, frees_notes);
        stores_.at(frees_notes ? 1 : 0) = victim.agent->receive<std::uint64_t>();
        end(victim);
      }
    }
  }
  void TearDown() override {
    if (!test::kStoreTraceWorks) return;
    for (Victim& one : victims_) {
      end(one);
      one.agent->send(Life());
      EXPECT_TRUE(one.agent.finish());
    }
    test::expect_all_given_back(session(), daemon().control_socket());
  }

  /// Starts a client that is killed after store number `stores`.
  void start(Victim& victim, std::uint64_t stores, bool frees_notes) {
    victim.life.stores = stores;
    victim.life.frees_notes = frees_notes;
    for (std::size_t i = 0; i < kGiftSizes.size(); ++i) {
      void* const gift = session().allocate(kGiftSizes.at(i));
      test::fill_block(gift, kGiftSizes.at(i), i);
      victim.life.gifts.at(i) = session().offer(gift).value();
    }
    victim.agent->send(victim.life);
    victim.exit.emplace(session(), victim.agent->receive<SessionId>());
  }
  /// Takes back the gifts that were not taken; those that were must be nobody's by now.
  void end(Victim& victim) {
    if (!victim.exit) return;
    ASSERT_TRUE(victim.exit->wait());
    victim.exit.reset();
    for (const Handle gift : victim.life.gifts) {
      if (const auto block = session().retract(gift)) {
        ASSERT_EQ(session().free(*block), Errc::kOk);
      }
    }
    test::end_name(session(), victim.life.name.data());
  }
  void expect_nothing_lives() {
    for (Victim& one : victims_) end(one);
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.live_blocks, 0U) << found.text;
  }
  /// Starts a client that `seed` says when to kill: of kNotesEach seeds that follow each other all but
  /// one take the next store of the life without the notes.
  void begin(Victim& victim, std::uint64_t seed) {
    const std::uint64_t notes = seed / kNotesEach;
    const bool frees_notes = seed % kNotesEach == 0;
    const std::uint64_t stores = stores_.at(frees_notes ? 1 : 0);
    start(victim, 1 + (frees_notes ? notes * kNotesStep : seed - notes) % stores, frees_notes);
  }
  [[nodiscard]] Victim& victim(std::uint64_t number) { return victims_.at(number % kAtOnce); }
  [[nodiscard]] std::uint64_t stores() const { return stores_[0]; }

  // To free the notes takes longer than all the rest: one in so many does.
  static constexpr std::uint64_t kNotesEach = 33;

 private:
  static constexpr std::size_t kAtOnce = 2;
  static constexpr std::uint64_t kNotesStep = 29;  // over their states, of which a run sees few
  std::array<Victim, kAtOnce> victims_{Victim('0'), Victim('1')};
  std::array<std::uint64_t, 2> stores_{};  // of a life that does not, and of one that does
};

TEST_F(ClientKillProcess, NothingIsLostWhereverItHappens) {
  constexpr std::uint64_t kSeeds = 500;
  const auto range = test::seeds(kSeeds);
  EXPECT_LE(stores(), kSeeds - kSeeds / kNotesEach) << "more seeds, to kill at each of them";
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    end(victim(seed));
    begin(victim(seed), seed);
    if (seed % 16 == 0) expect_nothing_lives();
    if (HasFailure()) break;
  }
  RecordProperty("stores", static_cast<int>(stores()));
  RecordProperty("kills", static_cast<int>(range.count));
}

}  // namespace
}  // namespace allot
