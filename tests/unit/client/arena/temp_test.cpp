#include <allot/temp.hpp>

#include <cstring>
#include <optional>

#include <gtest/gtest.h>

namespace allot {
namespace {

TEST(Temp, ComesBackToItsBeginning) {
  Arena arena = Arena::chained();
  ASSERT_NE(arena.push(100), nullptr);
  const ArenaMark before = arena.pos();
  {
    const Temp outer(arena);
    for (int i = 0; i < 10; ++i) ASSERT_NE(arena.push(20'000), nullptr);
    const ArenaMark middle = arena.pos();
    {
      const Temp inner(arena);
      ASSERT_NE(arena.push(500'000), nullptr);
      ASSERT_NE(arena.push(20'000), nullptr);
    }
    EXPECT_EQ(arena.pos(), middle);
  }
  EXPECT_EQ(arena.pos(), before);
}

TEST(Temp, RestoresTheAlignment) {
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    ArenaOptions options;
    options.checks = checks;
    Arena arena = Arena::reserve(1 << 20, options);
    ASSERT_EQ(arena.set_auto_align(1), Errc::kOk);
    {
      const Temp temp(arena);
      ASSERT_EQ(arena.set_auto_align(256), Errc::kOk);
      ASSERT_NE(arena.push(1), nullptr);
    }
    auto* const first = static_cast<char*>(arena.push(1));
    EXPECT_EQ(arena.push(1), first + 1);
  }
}

TEST(Temp, CommitKeepsWhatWasPushed) {
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    ArenaOptions options;
    options.checks = checks;
    options.block_bytes = 4096;
    Arena arena = Arena::chained(options);
    const ArenaMark start = arena.pos();
    Temp outer(arena);
    ASSERT_NE(arena.push(10, 1), nullptr);
    {
      Temp temp(arena);
      ASSERT_NE(arena.push(10'000, 1), nullptr);
      temp.commit();
    }
    EXPECT_EQ(arena.used_bytes(), 10'010U);
    ASSERT_NE(arena.push(30, 1), nullptr);
    outer.end();
    EXPECT_EQ(arena.pos(), start);
    EXPECT_EQ(arena.clear(), Errc::kOk);
  }
}

TEST(Temp, NothingBelowAnOpenOneIsTakenBack) {
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    ArenaOptions options;
    options.checks = checks;
    Arena arena = Arena::reserve(1 << 20, options);
    const ArenaMark below = arena.pos();
    void* const kept = arena.push(100);
    const Temp temp(arena);
    void* const inside = arena.push(100);
    EXPECT_EQ(arena.pop_to(below), Errc::kScopeOpen);
    EXPECT_EQ(arena.pop(150), Errc::kScopeOpen);
    EXPECT_EQ(arena.clear(), Errc::kScopeOpen);
    EXPECT_EQ(arena.pop_last(inside, 100), Errc::kOk);
    EXPECT_EQ(arena.pop_last(kept, 100), Errc::kNotLast) << "padding lies between";
    EXPECT_EQ(arena.pop(1), Errc::kOk);
  }
}

TEST(Temp, AnEndOutOfOrderTakesNothingBackWithoutChecks) {
  ArenaOptions options;
  options.checks = ArenaChecks::kOff;
  Arena arena = Arena::reserve(1 << 20, options);
  const ArenaMark start = arena.pos();
  {
    const Temp outermost(arena);
    ASSERT_NE(arena.push(1), nullptr);
    std::optional<Temp> older(std::in_place, arena);
    ASSERT_NE(arena.push(100), nullptr);
    std::optional<Temp> younger(std::in_place, arena);
    auto* const block = static_cast<char*>(arena.push(100));
    std::memset(block, 7, 100);
    older.reset();
    EXPECT_EQ(block[99], 7);
    EXPECT_TRUE(arena.contains(block));
    younger.reset();
    EXPECT_FALSE(arena.contains(block));
  }
  EXPECT_EQ(arena.pos(), start);
  EXPECT_EQ(arena.clear(), Errc::kOk);
}

}  // namespace
}  // namespace allot
