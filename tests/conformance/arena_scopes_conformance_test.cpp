// Scopes and scratches of every kind of arena over every source.

#include <gtest/gtest.h>

#include <allot/owning_arena.hpp>
#include <allot/scratch.hpp>

#include "tests/support/arena_kinds.hpp"
#include "tests/support/arena_oracle.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

class ArenaScopes : public test::ArenaKinds {
 protected:
  // A history inside a scope inside a scope ...: each must leave what lies below as it was.
  void run_nested(Arena& arena, test::Random& random, int depth) {
    test::ArenaOracle oracle(arena);
    run_random_operations(oracle, random, 100, 20'000, false);
    const ArenaMark before = arena.pos();
    for (int i = 0; i < 3 && depth > 0; ++i) {
      {
        const Temp temp(arena);
        run_nested(arena, random, depth - 1);
      }
      EXPECT_EQ(arena.pos(), before);
      oracle.check();
      if (GetParam().locked) continue;
      {
        Scratch inner(arena);
        run_nested(inner.arena(), random, depth - 1);
      }
      EXPECT_EQ(arena.pos(), before);
      oracle.check();
    }
    run_random_operations(oracle, random, 50, 20'000, false);
  }
};
ALLOT_ARENA_SUITE(ArenaScopes);

TEST_P(ArenaScopes, NestedHistoriesLeaveWhatLiesBelow) {
  const auto range = test::seeds(6);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    run_nested(arena(), random, 3);
    EXPECT_EQ(arena().clear(), Errc::kOk);
    if (HasFailure()) return;
  }
}

TEST_P(ArenaScopes, OneOnAnEmptyArenaLeavesItEmpty) {
  {
    const Temp temp(arena());
    for (int i = 0; i < 10; ++i) ASSERT_NE(arena().push(9000), nullptr);
  }
  EXPECT_EQ(arena().used_bytes(), 0U);
}

TEST_P(ArenaScopes, OneAcrossABlockComesBackAgainAndAgain) {
  void* const first = arena().push(9000);
  const std::size_t used = arena().used_bytes();
  std::size_t committed = 0;
  for (int round = 0; round < 100; ++round) {
    const Temp temp(arena());
    for (int i = 0; i < 10; ++i) ASSERT_NE(arena().push_zero(9000), nullptr);
    if (round == 0) committed = arena().committed();
  }
  EXPECT_EQ(arena().committed(), committed) << "popped blocks are used again";
  EXPECT_EQ(arena().used_bytes(), used);
  EXPECT_TRUE(arena().contains(first));
}

TEST_P(ArenaScopes, TheEndRunsDestructors) {
  struct Count {
    int* count;
    explicit Count(int* c) : count(c) { ++*count; }
    ~Count() { --*count; }
  };
  int alive = 0;
  OwningArena owning(std::move(arena()));
  ASSERT_NE(owning.make<Count>(&alive), nullptr);
  {
    const Temp temp(owning);
    for (int i = 0; i < 50; ++i) ASSERT_NE(owning.make<Count>(&alive), nullptr);
    EXPECT_EQ(alive, 51);
    {
      Temp inner(owning);
      ASSERT_NE(owning.make<Count>(&alive), nullptr);
      inner.commit();
    }
    EXPECT_EQ(alive, 52);
  }
  EXPECT_EQ(alive, 1);
  ASSERT_EQ(owning.release(), Errc::kOk);
  EXPECT_EQ(alive, 0);
}

TEST_P(ArenaScopes, OnlyVirtualKindsHaveRoomForAReturnValue) {
  const bool is_virtual =
      GetParam().kind == ArenaKind::kVirtual || GetParam().kind == ArenaKind::kChainedVirtual;
  ReturnScratch<int> result(arena());
  EXPECT_EQ(static_cast<bool>(result), is_virtual && !GetParam().locked);
  if (!result) {
    EXPECT_EQ(Arena::last_error(), Errc::kArenaKind);
    EXPECT_EQ(arena().used_bytes(), 0U);
  }
}

}  // namespace
}  // namespace allot
