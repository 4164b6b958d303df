// Arenas and arrays that processes fill together, and are killed at it: what was finished stays, their
// chunks are closed, and nobody is stopped.

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/shared_arena.hpp>
#include <allot/shared_vlarray.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::ExitNotice;
using test::Random;
using test::require;

// One thing that a process finished: bytes in the arena, then this in the array.
struct Finished {
  std::uint64_t writer = 0;
  std::uint64_t number = 0;  // of its writer, from 0
  std::uint64_t offset = 0;
  std::uint64_t size_bytes = 0;
};

constexpr std::uint64_t kArenaBytes = std::uint64_t{60} << 20;
constexpr std::uint64_t kArenaChunk = std::uint64_t{16} << 10;
constexpr std::uint64_t kFinished = 400'000;
constexpr std::uint64_t kFinishedChunk = 100;

std::uint64_t pattern_of(const Finished& thing) { return thing.writer * 1'000'003 + thing.number; }

[[noreturn]] void fill(Session& session, std::uint64_t writer) {
  auto arena = SharedArena::attach(session, "bytes").value();
  auto finished = SharedVlArray<Finished>::attach(session, "finished").value();
  Random random(writer);
  for (std::uint64_t number = 0;; ++number) {
    Finished thing{writer, number, 0, 1 + random.below(200U)};
    void* const block = arena.push(thing.size_bytes);
    if (block == nullptr) break;
    thing.offset = arena.offset_of(block);
    test::fill_block(block, thing.size_bytes, pattern_of(thing));
    if (finished.push_back_shared(thing) == nullptr) break;
  }
  for (;;) ::pause();  // full: to be killed
}

ALLOT_TEST_ROLE(filling_children) {
  const std::string socket = test.receive_text();
  while (const auto writer = test.receive<std::uint64_t>()) {
    const pid_t child = ::fork();
    if (child == 0) {
      Session session = Session::connect(test::options_for(socket)).value();
      test.send(::getpid());
      test.send(session.id());
      fill(session, writer);
    }
    test::await_kill(test, child);
  }
}

class SharedArenaDeath : public test::ServedRegion {};

TEST_F(SharedArenaDeath, WhatWasFinishedStaysAndChunksOfTheKilledAreFilledByOthers) {
  const auto range = test::seeds(100);
  auto arena = SharedArena::create(session(), "bytes", {kArenaBytes, kArenaChunk}).value();
  auto finished =
      SharedVlArray<Finished>::create(session(), "finished", kFinished, kFinishedChunk).value();
  constexpr int kAtOnce = 2;
  std::array<Agent, kAtOnce> parents{Agent("filling_children"), Agent("filling_children")};
  for (Agent& parent : parents) parent->send_text(daemon().client_socket().native());
  Random random(range.first);
  std::uint64_t writer = 0;
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    std::vector<pid_t> children;
    std::vector<ExitNotice> exits;
    for (Agent& parent : parents) {
      parent->send(++writer);
      children.push_back(parent->receive<pid_t>());
      exits.emplace_back(session(), parent->receive<SessionId>());
    }
    // Until they have finished some more, while they are at whatever they are at.
    const std::uint64_t enough = finished.ready() + random.below(2000U);
    while (finished.ready() < enough && finished.usage().untouched_chunks > 0 &&
           arena.usage().untouched_chunks > 0) {
    }
    for (const pid_t child : children) ::kill(child, SIGKILL);
    for (const ExitNotice& exit : exits) ASSERT_TRUE(exit.wait());
    for (Agent& parent : parents) (void)parent->receive<pid_t>();
    ASSERT_EQ(finished.usage().open_chunks, 0U) << "of the dead";
    ASSERT_EQ(arena.usage().open_chunks, 0U) << "of the dead";
  }
  for (Agent& parent : parents) {
    parent->send(std::uint64_t{0});
    EXPECT_TRUE(parent.finish());
  }

  // Every writer's things are there, from its first to its last, each once and whole.
  std::map<std::uint64_t, std::vector<bool>> numbers;
  finished.for_each([&](const Finished& thing) {
    const void* const block = arena.at(thing.offset, thing.size_bytes);
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(test::holds_pattern(block, thing.size_bytes, pattern_of(thing)));
    std::vector<bool>& of_writer = numbers[thing.writer];
    if (of_writer.size() <= thing.number) of_writer.resize(thing.number + 1);
    ASSERT_FALSE(of_writer[thing.number]) << "twice";
    of_writer[thing.number] = true;
  });
  EXPECT_FALSE(numbers.empty());
  for (const auto& [who, there] : numbers) {
    for (std::size_t i = 0; i < there.size(); ++i) ASSERT_TRUE(there[i]) << who << " lost " << i;
  }
  // Chunks that the dead left were filled by others: few stand half empty.
  EXPECT_LE(finished.usage().closed_rest_bytes,
            (kAtOnce + 1) * kFinishedChunk * sizeof(Finished) * 2);

  expect_live(2);
  EXPECT_TRUE(arena.unpublish("bytes").has_value());
  EXPECT_TRUE(finished.unpublish("finished").has_value());
  arena = SharedArena();
  finished = SharedVlArray<Finished>();
  expect_nothing_left();
}

// Makes an arena again and again.
ALLOT_TEST_ROLE(arena_makers) {
  const std::string socket = test.receive_text();
  while (test.receive<std::uint64_t>() != 0) {
    const pid_t child = ::fork();
    if (child == 0) {
      Session session = Session::connect(test::options_for(socket)).value();
      test.send(::getpid());
      test.send(session.id());
      for (;;) {
        auto arena = SharedArena::create(session, "mine", {std::uint64_t{1} << 20}).value();
        require(arena.push(100) != nullptr, "no room");
        arena.clear().value();
        arena.unpublish("mine").value();
      }
    }
    test::await_kill(test, child);
  }
}

TEST_F(SharedArenaDeath, AMakerKilledAtAnyMomentLeavesAWholeArenaOrNone) {
  const auto range = test::seeds(100);
  Agent parent("arena_makers");
  parent->send_text(daemon().client_socket().native());
  std::uint64_t whole = 0;
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    Random random(seed);
    parent->send(seed + 1);
    const auto child = parent->receive<pid_t>();
    const ExitNotice exit(session(), parent->receive<SessionId>());
    for (std::uint32_t i = random.below(20'000U); i > 0; --i) {
      ASSERT_EQ(session().free(session().allocate(64)), Errc::kOk);
    }
    ::kill(child, SIGKILL);
    ASSERT_TRUE(exit.wait());
    (void)parent->receive<pid_t>();
    auto left = SharedArena::attach(session(), "mine");
    if (!left) {
      ASSERT_EQ(left.error().errc(), Errc::kNameUnknown);
      continue;
    }
    ++whole;
    EXPECT_EQ(left->usage().open_chunks, 0U);
    EXPECT_NE(left->push(100), nullptr);
    EXPECT_TRUE(left->unpublish("mine").has_value());
  }
  RecordProperty("whole", static_cast<int>(whole));
  parent->send(std::uint64_t{0});
  EXPECT_TRUE(parent.finish());
  expect_nothing_left();
}

// What another process wrote before it published is visible after find; it need not live any more.
ALLOT_TEST_ROLE(publishing_writer) {
  Session session = test::connect_as_told(test);
  auto numbers = SharedVlArray<std::uint64_t>::create(session, "numbers", 100'000).value();
  for (std::uint64_t i = 0; i < 50'000; ++i)
    require(numbers.push_back(i * i) != nullptr, "no room");
  test.send_text("written");
  (void)test.receive_text();
}

TEST_F(SharedArenaDeath, AnArrayOfADeadProcessIsReadAndContinued) {
  Agent writer("publishing_writer");
  const ExitNotice exit(session(), test::introduce(writer.link(), daemon()));
  EXPECT_EQ(writer->receive_text(), "written");
  auto numbers = SharedVlArray<std::uint64_t>::attach(session(), "numbers").value();
  EXPECT_EQ(numbers.push_back(0), nullptr);
  EXPECT_EQ(numbers.last_error(), Errc::kArenaShared) << "its writer lives";
  writer.process().kill();
  ASSERT_TRUE(exit.wait());
  EXPECT_NE(numbers.push_back(50'000ULL * 50'000), nullptr);
  ASSERT_EQ(numbers.size(), 50'001U);
  for (std::uint64_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], i * i);
  EXPECT_TRUE(numbers.unpublish("numbers").has_value());
  numbers = SharedVlArray<std::uint64_t>();
  expect_nothing_left();
}

TEST_F(SharedArenaDeath, AForkedChildMayOnlyDestroyIt) {
  auto arena = SharedArena::create(session(), "a").value();
  ASSERT_NE(arena.push(100), nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    { const SharedArena gone = std::move(arena); }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(arena.usage().open_chunks, 1U) << "ours";
  EXPECT_NE(arena.push(100), nullptr);
  EXPECT_TRUE(arena.unpublish("a").has_value());
  arena = SharedArena();
  expect_nothing_left();
}

}  // namespace
}  // namespace allot
