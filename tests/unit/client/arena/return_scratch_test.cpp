#include <allot/return_scratch.hpp>

#include <cstdint>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

namespace allot {
namespace {

TEST(ReturnScratch, LeavesExactlyTheReturnedObject) {
  struct Sum {
    std::uint64_t total;
    std::uint32_t count;
  };
  for (const bool chained : {false, true}) {
    Arena arena = chained ? Arena::reserve_chained(1 << 20) : Arena::reserve(std::size_t{1} << 24);
    ASSERT_NE(arena.push(8, 8), nullptr);
    const std::size_t used = arena.used_bytes();
    Sum* const sum = [&] {
      ReturnScratch<Sum> result(arena);
      EXPECT_TRUE(result);
      auto* const numbers = result.arena().push_array<std::uint64_t>(10'000);
      EXPECT_NE(numbers, nullptr);
      result.emplace(Sum{7, 8});
      return result.commit();
    }();
    ASSERT_NE(sum, nullptr);
    EXPECT_EQ(sum->total, 7U);
    EXPECT_EQ(arena.used_bytes(), used + sizeof(Sum));
    EXPECT_TRUE(arena.contains(sum));
  }
}

TEST(ReturnScratch, WithoutAResultLeavesNothing) {
  Arena arena = Arena::reserve(1 << 20);
  ASSERT_NE(arena.push(1, 1), nullptr);
  const ArenaMark before = arena.pos();
  {
    ReturnScratch<double> result(arena);
    ASSERT_NE(result.arena().push(1000), nullptr);
    result.emplace(1.0);
  }
  EXPECT_EQ(arena.pos(), before);
  ReturnScratch<double> none(arena);
  EXPECT_EQ(none.commit(), nullptr);
  EXPECT_EQ(arena.pos(), before);
}

TEST(ReturnSlot, KeepsTheUsedPrefix) {
  for (const std::size_t room : {std::size_t{100}, std::size_t{200'000}}) {
    Arena arena = Arena::reserve_chained(1 << 16);
    ASSERT_NE(arena.push(64'000, 1), nullptr);
    const std::size_t used = arena.used_bytes();
    auto slot = scratch_in(arena, room, 1);
    ASSERT_TRUE(slot);
    std::memset(slot.slot(), 3, room);
    ASSERT_NE(slot.arena().push(50'000), nullptr);
    auto* const kept = static_cast<char*>(slot.commit(60));
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept[59], 3);
    EXPECT_EQ(arena.used_bytes(), used + 60);
    auto more = scratch_in(arena, 10);
    EXPECT_EQ(more.commit(11), nullptr);
    EXPECT_EQ(Arena::last_error(), Errc::kBadArgument);
    EXPECT_EQ(arena.used_bytes(), used + 60);
  }
}

TEST(ReturnSlot, AFixedOrChainedArenaHasNoRoomForOne) {
  Arena fixed = Arena::fixed(4096);
  Arena chained = Arena::chained();
  for (Arena* const arena : {&fixed, &chained}) {
    const auto slot = scratch_in(*arena, 64);
    EXPECT_FALSE(slot);
    EXPECT_EQ(Arena::last_error(), Errc::kArenaKind);
    ReturnScratch<int> typed(*arena);
    EXPECT_FALSE(typed);
    EXPECT_EQ(typed.emplace(1), nullptr);
    EXPECT_EQ(typed.commit(), nullptr);
    EXPECT_EQ(arena->used_bytes(), 0U);
  }
}

TEST(ReturnSlot, RoomBeyondAllMemoryIsRefused) {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    for (const bool chained : {false, true}) {
      ArenaOptions options;
      options.checks = checks;
      Arena arena =
          chained ? Arena::reserve_chained(1 << 20, options) : Arena::reserve(1 << 20, options);
      ASSERT_NE(arena.push(100, 1), nullptr);
      const ArenaMark before = arena.pos();
      for (const std::size_t room :
           {kMost, kMost - 1, kMost - 15, kMost - 100, kMost / 2 + 1, (std::size_t{1} << 47) + 1}) {
        for (const std::size_t alignment : {std::size_t{1}, std::size_t{16}, std::size_t{4096}}) {
          auto slot = scratch_in(arena, room, alignment);
          EXPECT_FALSE(slot) << room;
          EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge);
          EXPECT_EQ(slot.slot(), nullptr);
          EXPECT_EQ(slot.arena().push(1), nullptr);
          EXPECT_EQ(slot.commit(0), nullptr);
        }
      }
      struct Huge {
        char bytes[std::size_t{1} << 48];
      };
      const ReturnScratch<Huge> typed(arena);
      EXPECT_FALSE(typed);
      EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge);
      EXPECT_EQ(arena.pos(), before);
      EXPECT_NE(arena.push(1), nullptr) << "its handle is not locked";
    }
  }
}

}  // namespace
}  // namespace allot
