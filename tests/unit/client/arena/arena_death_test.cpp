// What an arena with checks reports, with both places, and ends the process for.

#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/scratch.hpp>

#include "tests/support/sanitizer.hpp"

namespace allot {
namespace {

class ArenaDeath : public testing::Test {
 protected:
  void SetUp() override {
    testing::GTEST_FLAG(death_test_style) = "threadsafe";
    if (kDefaultArenaChecks == ArenaChecks::kOff) GTEST_SKIP() << "built without assertions";
  }
};

// A report names where the arena was made, the offending line and the other one.
constexpr const char* kTwoPlaces =
    R"(made at .*death_test.cpp:[0-9]+.*death_test.cpp:[0-9]+.*death_test.cpp:[0-9]+)";

TEST_F(ArenaDeath, AScopeEndedOutOfOrder) {
  Arena arena = Arena::reserve(1 << 20);
  EXPECT_DEATH(
      {
        std::optional<Temp> older(std::in_place, arena, Place::here());
        std::optional<Temp> younger(std::in_place, arena, Place::here());
        older.reset();
      },
      std::string("out of order.*younger"));
}

TEST_F(ArenaDeath, APushWhileAYoungerScratchHasTheArena) {
  Arena arena = Arena::reserve(1 << 20);
  const Scratch inner(arena);
  EXPECT_DEATH((void)arena.push(8), kTwoPlaces);
  EXPECT_DEATH((void)arena.push_zero(8), "a younger scratch has the arena");
}

TEST_F(ArenaDeath, AForgottenConflict) {
  auto results = scratch();
  const auto forgets = [&] {
    auto inner = scratch();  // should have named results
    (void)results->push(8);
  };
  EXPECT_DEATH(forgets(), kTwoPlaces);
}

TEST_F(ArenaDeath, EveryArenaIsAConflict) {
  std::vector<const Arena*> conflicts;
  std::vector<std::unique_ptr<Scratch>> open;
  for (std::size_t i = 0; i < kMaxScratchArenas; ++i) {
    open.push_back(std::make_unique<Scratch>(std::span(conflicts), Place::here()));
    conflicts.push_back(&open.back()->arena());
  }
  EXPECT_DEATH((void)Scratch(std::span<const Arena* const>(conflicts)),
               "names each.*\n.*lent at.*death_test");
  while (!open.empty()) open.pop_back();
}

TEST_F(ArenaDeath, AScopeOfAnotherThread) {
  Arena arena = Arena::reserve(1 << 20);
  EXPECT_DEATH(
      {
        std::optional<Temp> temp(std::in_place, arena, Place::here());
        std::thread([&] { temp.reset(); }).join();
      },
      "another thread");
  const Temp temp(arena);
  EXPECT_DEATH(std::thread([&] { (void)arena.push(1); }).join(), "another thread");
}

TEST_F(ArenaDeath, UseAfterRelease) {
  Arena arena = Arena::chained();
  ASSERT_EQ(arena.release(), Errc::kOk);
  EXPECT_DEATH((void)arena.push(1), "released at .*death_test.cpp:[0-9]+");
  EXPECT_DEATH((void)arena.clear(), "released at");
  EXPECT_DEATH((void)arena.pop(1), "released at");
  EXPECT_DEATH((void)arena.release(), "released at");
  EXPECT_DEATH(const Temp temp(arena), "released at");
}

TEST_F(ArenaDeath, ReleaseWithAScopeOpen) {
  Arena arena = Arena::chained();
  const Temp temp(arena);
  EXPECT_DEATH((void)arena.release(), kTwoPlaces);
}

TEST_F(ArenaDeath, ReleaseWithAChildAlive) {
  Arena parent = Arena::chained();
  ArenaOptions options;
  options.source = parent;
  const Arena child = Arena::fixed(1000, options);
  EXPECT_DEATH((void)parent.release(), "child arena");
}

TEST_F(ArenaDeath, AScopeThatEndsBelowAChild) {
  Arena parent = Arena::chained();
  EXPECT_DEATH(
      {
        Arena child;
        const Temp temp(parent);
        ArenaOptions options;
        options.source = parent;
        child = Arena::fixed(1000, options);
      },
      "child arena open");
}

TEST_F(ArenaDeath, AFullArenaThatShallAbort) {
  ArenaOptions options;
  options.when_full = WhenFull::kAbort;
  options.name = "small";
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    options.checks = checks;
    Arena arena = Arena::fixed(4096, options);
    EXPECT_EQ(arena.try_push(5000), nullptr);
    EXPECT_DEATH((void)arena.push(5000), "small.*push of 5000 bytes at .*death_test.cpp");
    EXPECT_DEATH((void)arena.push_zero(5000), "small.*push of 5000 bytes");
  }
}

TEST_F(ArenaDeath, PoisonedMemory) {
  if (!test::kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  Arena arena = Arena::chained();
  auto* const block = static_cast<volatile char*>(arena.push(64));
  const ArenaMark before = arena.pos();
  auto* const popped = static_cast<volatile char*>(arena.push(64));
  ASSERT_EQ(arena.pop_to(before), Errc::kOk);
  block[63] = 1;
  EXPECT_DEATH(popped[0] = 1, "use-after-poison");
  EXPECT_DEATH(block[64] = 1, "use-after-poison");
}

TEST_F(ArenaDeath, WhatAClearLeavesIsPoisonedInEveryBlock) {
  if (!test::kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  ArenaOptions options;
  options.block_bytes = options.max_block_bytes = 4096;
  Arena arena = Arena::chained(options);
  auto* const first = static_cast<volatile char*>(arena.push(4000));
  auto* const second = static_cast<volatile char*>(arena.push(4000));
  ASSERT_EQ(arena.clear(), Errc::kOk);
  EXPECT_DEATH(first[0] = 1, "use-after-poison");
  EXPECT_DEATH(first[3999] = 1, "use-after-poison");
  EXPECT_DEATH(second[0] = 1, "use-after-poison") << "a block that is kept";
  auto* const again = static_cast<volatile char*>(arena.push(10));
  EXPECT_EQ(again, first);
  again[9] = 1;
  EXPECT_DEATH(again[10] = 1, "use-after-poison");
}

TEST_F(ArenaDeath, AVirtualArenaIsPoisonedAboveItsPosition) {
  if (!test::kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  for (const bool chained : {false, true}) {
    Arena arena = chained ? Arena::reserve_chained(1 << 20) : Arena::reserve(1 << 20);
    auto* const block = static_cast<volatile char*>(arena.push(100'000));
    block[99'999] = 1;
    EXPECT_DEATH(block[100'000] = 1, "use-after-poison");
    EXPECT_DEATH(block[arena.committed() - 1] = 1, "use-after-poison") << "committed, not pushed";
    ASSERT_EQ(arena.pop(50'000), Errc::kOk);
    block[49'999] = 1;
    EXPECT_DEATH(block[50'000] = 1, "use-after-poison");
    // What goes back and is committed again is poisoned again.
    EXPECT_GT(arena.shrink(), 0U);
    ASSERT_EQ(arena.push(100'000, 1), block + 50'000);
    block[149'999] = 1;
    EXPECT_DEATH(block[150'000] = 1, "use-after-poison");
    ASSERT_EQ(arena.clear(), Errc::kOk);
    EXPECT_DEATH(block[0] = 1, "use-after-poison");
  }
}

TEST_F(ArenaDeath, TheRestOfALoneBlockIsPoisoned) {
  if (!test::kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  ArenaOptions options;
  options.block_bytes = options.max_block_bytes = 4096;
  Arena arena = Arena::chained(options);
  auto* const small = static_cast<volatile char*>(arena.push(16));
  auto* const lone = static_cast<volatile char*>(arena.push(10'000));
  lone[9'999] = 1;
  EXPECT_DEATH(lone[10'000] = 1, "use-after-poison");
  EXPECT_DEATH(lone[12'287] = 1, "use-after-poison") << "to the end of its pages";
  ASSERT_EQ(arena.pop(4'000), Errc::kOk);
  lone[5'999] = 1;
  EXPECT_DEATH(lone[6'000] = 1, "use-after-poison");
  small[15] = 1;
  EXPECT_DEATH(small[16] = 1, "use-after-poison");
}

}  // namespace
}  // namespace allot
