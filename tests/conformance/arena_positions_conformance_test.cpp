// How an arena goes back, whatever its kind and source: marks, pops, clear, destructors.

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <allot/owning_arena.hpp>

#include "tests/support/arena_kinds.hpp"
#include "tests/support/arena_oracle.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

using test::ArenaUnderTest;

constexpr std::size_t kMaxSize = std::numeric_limits<std::size_t>::max();

class ArenaPositions : public test::ArenaKinds {};
ALLOT_ARENA_SUITE(ArenaPositions);

TEST_P(ArenaPositions, PopTakesBackExactlyAsMuchAcrossBlocks) {
  std::vector<std::size_t> used{0};
  for (int i = 0; i < 40; ++i) {
    // Every seventh is too large for a block of a chained arena.
    ASSERT_NE(arena().push(i % 7 == 6 ? 20'000 : 3000, i % 2 == 0 ? 1 : 64), nullptr) << i;
    used.push_back(arena().used_bytes());
  }
  const std::size_t committed = arena().committed();
  while (arena().used_bytes() > 0) {
    const std::size_t before = arena().used_bytes();
    const std::size_t back = std::min<std::size_t>(before, 1777);
    ASSERT_EQ(arena().pop(back), Errc::kOk);
    ASSERT_EQ(arena().used_bytes(), before - back);
  }
  EXPECT_EQ(arena().committed(), committed) << "a pop gives nothing back";
  EXPECT_EQ(arena().pop(0), Errc::kOk);
  EXPECT_EQ(arena().pop(1), Errc::kPopTooMuch);
  EXPECT_EQ(arena().pop(kMaxSize), Errc::kPopTooMuch);
  ASSERT_NE(arena().push(10, 1), nullptr);
  EXPECT_EQ(arena().pop(11), Errc::kPopTooMuch);
  EXPECT_EQ(arena().used_bytes(), 10U);
}

TEST_P(ArenaPositions, PopLastTakesTheLastPushOnly) {
  void* const first = arena().push(100);
  void* const second = arena().push(200);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(arena().pop_last(first, 100), Errc::kNotLast);
  EXPECT_EQ(arena().pop_last(second, 199), Errc::kNotLast);
  EXPECT_EQ(arena().pop_last(nullptr, 0), Errc::kNotLast);
  EXPECT_EQ(arena().pop_last(second, 200), Errc::kOk);
  EXPECT_EQ(arena().push(200), second);
  EXPECT_EQ(arena().pop_last(second, 200), Errc::kOk);
  void* const nothing = arena().push(0, 1);
  EXPECT_EQ(arena().pop_last(nothing, 0), Errc::kOk);
  EXPECT_EQ(arena().push(0, 1), nothing);
}

TEST_P(ArenaPositions, PopLastTakesABlockOfItsOwnToo) {
  ASSERT_NE(arena().push(128), nullptr);
  const ArenaMark before = arena().pos();
  void* const large = arena().push(100'000, 16);
  ASSERT_NE(large, nullptr);
  EXPECT_EQ(arena().pop_last(large, 100'000), Errc::kOk);
  EXPECT_EQ(arena().pos(), before);
}

TEST_P(ArenaPositions, AMarkOnAnEmptyArenaRewinds) {
  const ArenaMark empty = arena().pos();
  void* const first = arena().push(64);
  for (int i = 0; i < 20; ++i) ASSERT_NE(arena().push(9000), nullptr);
  EXPECT_EQ(arena().pop_to(empty), Errc::kOk);
  EXPECT_EQ(arena().used_bytes(), 0U);
  EXPECT_EQ(arena().push(64), first) << "the same memory again";
  EXPECT_EQ(arena().pop_to(empty), Errc::kOk);
  EXPECT_EQ(arena().pop_to(empty), Errc::kOk);
}

TEST_P(ArenaPositions, AMarkInABlockThatALaterPopFreesRewinds) {
  const ArenaMark outer = arena().pos();
  for (int i = 0; i < 3; ++i) ASSERT_NE(arena().push(10'000), nullptr);
  const ArenaMark inner = arena().pos();
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 5; ++i) ASSERT_NE(arena().push(10'000), nullptr);
    EXPECT_EQ(arena().pop_to(inner), Errc::kOk);
    EXPECT_EQ(arena().pos(), inner);
  }
  EXPECT_EQ(arena().pop_to(outer), Errc::kOk);
  EXPECT_EQ(arena().pop_to(inner), Errc::kMarkAhead);
  EXPECT_EQ(arena().used_bytes(), 0U);
}

TEST_P(ArenaPositions, MarksThatMakeNoSenseAreRefused) {
  ASSERT_NE(arena().push(1000), nullptr);
  const ArenaMark here = arena().pos();
  Arena other = Arena::chained();
  ASSERT_NE(other.push(100), nullptr);
  EXPECT_EQ(arena().pop_to(other.pos()), Errc::kForeignMark);
  EXPECT_EQ(other.pop_to(here), Errc::kForeignMark);
  ArenaMark ahead = here;
  ahead.offset += 1;
  EXPECT_EQ(arena().pop_to(ahead), Errc::kMarkAhead);
  ahead.offset = kMaxSize;
  EXPECT_EQ(arena().pop_to(ahead), Errc::kMarkAhead);
  EXPECT_EQ(arena().pop_to(ArenaMark{}), Errc::kForeignMark);
  EXPECT_EQ(arena().used_bytes(), here.offset);
  EXPECT_EQ(arena().clear(), Errc::kOk);
  EXPECT_EQ(arena().pop_to(here), Errc::kStaleMark);
}

TEST_P(ArenaPositions, ClearKeepsTheFirstBlockAndWhatItIsTold) {
  void* const first = arena().push(64);
  for (int i = 0; i < 30; ++i) ASSERT_NE(arena().push(9000), nullptr);
  EXPECT_EQ(arena().clear(std::size_t{0}), Errc::kOk);
  EXPECT_EQ(arena().used_bytes(), 0U);
  EXPECT_EQ(arena().push(64), first);
  if (GetParam().kind == ArenaKind::kChained) {
    EXPECT_EQ(arena().committed(), ArenaUnderTest::kBlockBytes);
    for (int i = 0; i < 30; ++i) ASSERT_NE(arena().push(9000), nullptr);
    EXPECT_EQ(arena().clear(3 * ArenaUnderTest::kBlockBytes), Errc::kOk);
    EXPECT_EQ(arena().committed(), 4 * ArenaUnderTest::kBlockBytes);
    EXPECT_EQ(arena().clear(std::size_t{0}), Errc::kOk) << "also what was kept before";
    EXPECT_EQ(arena().committed(), ArenaUnderTest::kBlockBytes);
  }
}

TEST_P(ArenaPositions, ShrinkGivesBackWhatIsNotInUse) {
  auto* const kept = static_cast<char*>(arena().push(5000));
  std::memset(kept, 1, 5000);
  const ArenaMark mark = arena().pos();
  const std::size_t before = arena().committed();
  for (int i = 0; i < 30; ++i) ASSERT_NE(arena().push_zero(9000), nullptr);
  EXPECT_EQ(arena().pop_to(mark), Errc::kOk);
  const std::size_t committed = arena().committed();
  const std::size_t given_back = arena().shrink();
  EXPECT_EQ(arena().committed(), committed - given_back);
  EXPECT_LE(arena().committed(), before);
  EXPECT_EQ(std::count(kept, kept + 5000, 1), 5000);
  auto* const again = static_cast<char*>(arena().push_zero(60'000));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(std::count(again, again + 60'000, 0), 60'000);
}

TEST_P(ArenaPositions, ARandomHistoryAgreesWithTheOracle) {
  const auto range = test::seeds(20);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    test::ArenaOracle oracle(arena());
    run_random_operations(oracle, random, 800, chains() ? 40'000 : 20'000);
    EXPECT_EQ(arena().clear(), Errc::kOk);
    if (HasFailure()) return;
  }
}

TEST_P(ArenaPositions, DestructorsRunInReverse) {
  struct Noisy {
    std::vector<int>* order;
    int number;
    Noisy(std::vector<int>* list, int n) : order(list), number(n) {}
    ~Noisy() { order->push_back(number); }
  };
  std::vector<int> order;
  OwningArena owning(std::move(arena()));
  ASSERT_NE(owning.make<Noisy>(&order, 1), nullptr);
  const ArenaMark mark = owning.pos();
  for (int i = 2; i < 5; ++i) {
    ASSERT_NE(owning.push(9000), nullptr);
    ASSERT_NE(owning.make<Noisy>(&order, i), nullptr);
    EXPECT_NE(owning.make<int>(i), nullptr);
  }
  ASSERT_EQ(owning.pop(1), Errc::kOk);
  EXPECT_TRUE(order.empty());
  ASSERT_EQ(owning.pop_to(mark), Errc::kOk);
  EXPECT_EQ(order, (std::vector<int>{4, 3, 2}));
  ASSERT_NE(owning.make<Noisy>(&order, 9), nullptr);
  ASSERT_EQ(owning.clear(), Errc::kOk);
  EXPECT_EQ(order, (std::vector<int>{4, 3, 2, 9, 1}));
  ASSERT_NE(owning.make<Noisy>(&order, 10), nullptr);
  ASSERT_EQ(owning.release(), Errc::kOk);
  EXPECT_EQ(order.back(), 10);
}

}  // namespace
}  // namespace allot
