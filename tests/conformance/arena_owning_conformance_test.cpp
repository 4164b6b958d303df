// Arrays of objects with destructors, whose size no sum may wrap round.

#include <cstddef>
#include <limits>

#include <gtest/gtest.h>

#include <allot/owning_arena.hpp>

#include "tests/support/arena_kinds.hpp"

namespace allot {
namespace {

class ArenaOwning : public test::ArenaKinds {};
ALLOT_ARENA_SUITE(ArenaOwning);

template <std::size_t kSize>
struct Counted {
  Counted() { ++made; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { ++destroyed; }

  static inline std::size_t made = 0;
  static inline std::size_t destroyed = 0;
  std::byte bytes[kSize] = {};
};

template <class T>
void expect_refused(OwningArena& arena, std::size_t count) {
  EXPECT_EQ(arena.make_array<T>(count), nullptr) << count << " of " << sizeof(T);
  EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge) << count << " of " << sizeof(T);
}

TEST_P(ArenaOwning, AnArrayBeyondAllMemoryIsRefusedAndNothingIsMade) {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  using Small = Counted<1>;
  using Large = Counted<24>;
  OwningArena owning(under_test().make());
  ASSERT_NE(owning.make_array<Large>(3), nullptr);
  const std::size_t made = Large::made;
  const std::size_t destroyed = Large::destroyed;
  const ArenaMark before = owning.pos();
  // The node before the objects would wrap the sum round.
  for (std::size_t rest = 0; rest < 64; ++rest) expect_refused<Small>(owning, kMost - rest);
  // The product would: to 8, and to little more.
  expect_refused<Large>(owning, kMost / 24 + 1);
  expect_refused<Large>(owning, kMost / 8 + 1);
  expect_refused<Large>(owning, kMost / 4 + 2);
  // Nothing wraps, and no memory is that large.
  expect_refused<Large>(owning, kMost / 24);
  expect_refused<Large>(owning, kMost / 48);
  expect_refused<Small>(owning, std::size_t{1} << 47);
  expect_refused<int>(owning, kMost / 4 + 1);
  expect_refused<int>(owning, kMost);
  EXPECT_EQ(owning.pos(), before);
  EXPECT_EQ(Large::made, made);
  EXPECT_EQ(Small::made, 0U);
  EXPECT_EQ(owning.release(), Errc::kOk);
  EXPECT_EQ(Large::destroyed, destroyed + 3) << "those that were made";
  EXPECT_EQ(Small::destroyed, 0U);
}

}  // namespace
}  // namespace allot
