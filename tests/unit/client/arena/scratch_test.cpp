#include <allot/scratch.hpp>

#include <sys/mman.h>

#include <cstring>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/page_size.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/sanitizer.hpp"

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

TEST(Scratch, IsNoneOfTheConflicts) {
  auto first = scratch();
  ASSERT_TRUE(first);
  auto second = scratch(first.arena());
  ASSERT_TRUE(second);
  EXPECT_FALSE(first->same_arena(second.arena()));
  auto third = scratch(first.arena(), second.arena());
  EXPECT_FALSE(third->same_arena(first.arena()));
  EXPECT_FALSE(third->same_arena(second.arena()));
  EXPECT_GE(scratch_arena_count(), 3U);
  Arena stranger = Arena::chained();
  auto fourth = scratch(stranger);
  EXPECT_FALSE(fourth->same_arena(stranger));
}

TEST(Scratch, TakesAnyNumberOfConflicts) {
  auto a = scratch();
  auto b = scratch(a.arena());
  auto c = scratch(a.arena(), b.arena());
  auto d = scratch(a.arena(), b.arena(), c.arena());
  auto e = scratch(a.arena(), b.arena(), c.arena(), d.arena());
  ASSERT_TRUE(e);
  for (Scratch* const other : {&a, &b, &c, &d}) EXPECT_FALSE(e->same_arena(other->arena()));
}

TEST(Scratch, HasChecksWhereTheFileThatOpensItHasThem) {
  std::thread([] {
    {
      const auto filled = [](Scratch in) { return *in->push_array<unsigned char>(1); };
      EXPECT_EQ(filled(scratch(Place::here(), ArenaChecks::kOff)), 0);
      EXPECT_EQ(filled(scratch(Place::here(), ArenaChecks::kOn)), 0xA5)
          << "an idle one is made anew";
      EXPECT_EQ(filled(scratch(Place::here(), ArenaChecks::kOff)), 0xA5);
    }
    EXPECT_EQ(scratch_arena_count(), 1U);
  }).join();
}

TEST(Scratch, TwoArenasServeAFunctionThatReturnsThroughOne) {
  std::thread([] {
    {
      auto outer = scratch();
      ASSERT_TRUE(outer);
      for (int i = 0; i < 10; ++i) {
        auto inner = scratch(outer.arena());
        ASSERT_NE(inner->push(1000), nullptr);
        ASSERT_NE(outer->push(1000), nullptr);
      }
      EXPECT_GE(outer->used_bytes(), 10'000U);
    }
    EXPECT_EQ(scratch_arena_count(), 2U);
  }).join();
}

TEST(Scratch, LeavesNothing) {
  auto keeper = scratch();
  const std::size_t used = [&] {
    auto inner = scratch(keeper.arena());
    const std::size_t at_start = inner->used_bytes();
    EXPECT_NE(inner->push(100'000), nullptr);
    return at_start;
  }();
  EXPECT_EQ(scratch(keeper.arena())->used_bytes(), used);
}

TEST(Scratch, PushesToALockedHandleFailWithoutChecks) {
  ArenaOptions options;
  options.checks = ArenaChecks::kOff;
  Arena arena = Arena::reserve(1 << 20, options);
  void* const kept = arena.push(10);
  {
    Scratch inner(arena);
    ASSERT_TRUE(inner);
    EXPECT_EQ(arena.push(10), nullptr);
    EXPECT_EQ(Arena::last_error(), Errc::kScopeOpen);
    EXPECT_EQ(arena.pop(1), Errc::kScopeOpen);
    EXPECT_EQ(arena.clear(), Errc::kScopeOpen);
    EXPECT_EQ(arena.release(), Errc::kScopeOpen);
    EXPECT_NE(inner->push(10), nullptr);
    EXPECT_EQ(inner->clear(), Errc::kScopeOpen);
    Scratch again(arena);
    EXPECT_FALSE(again);
    EXPECT_EQ(Arena::last_error(), Errc::kScopeOpen);
  }
  EXPECT_EQ(arena.pop_last(kept, 10), Errc::kOk);
}

TEST(Scratch, ASharedArenaLendsNone) {
  ArenaOptions options;
  options.locked = true;
  Arena arena = Arena::reserve(1 << 20, options);
  const Scratch refused(arena);
  EXPECT_FALSE(refused);
  EXPECT_EQ(Arena::last_error(), Errc::kArenaKind);
}

TEST(Scratch, EndsWithItsThread) {
  const Arena* made = nullptr;
  std::thread([&] {
    auto one = scratch();
    ASSERT_NE(one->push(100), nullptr);
    made = &one.arena();
  }).join();
  EXPECT_NE(made, nullptr);
  std::thread([] { EXPECT_EQ(scratch_arena_count(), 0U); }).join();
}

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

bool is_mapped(const std::byte* page) {
  return ::msync(const_cast<std::byte*>(page), platform::page_size_bytes(), MS_ASYNC) == 0;
}

TEST(MappedScratch, HasGuardsOnBothSides) {
  if (test::kAddressSanitizer || test::kThreadSanitizer) GTEST_SKIP() << "probes by faulting";
  const std::byte* place = nullptr;
  {
    MappedScratch mapped(10'000);
    ASSERT_TRUE(mapped);
    auto* const block = static_cast<std::byte*>(mapped.arena().push(10'000, 1));
    ASSERT_EQ(block, mapped.data());
    std::memset(block, 1, 10'000);
    place = block;
    EXPECT_TRUE(test::read_faults(mapped.data() - 1));
    EXPECT_TRUE(is_mapped(mapped.data() - platform::page_size_bytes())) << "a guard, not a gap";
    EXPECT_TRUE(is_mapped(mapped.data() + mapped.size_bytes()));
    EXPECT_TRUE(test::read_faults(mapped.data() + mapped.size_bytes()));
    EXPECT_FALSE(test::read_faults(place));
    EXPECT_EQ(mapped.size_bytes() % platform::page_size_bytes(), 0U);
    EXPECT_EQ(mapped.arena().push(mapped.size_bytes(), 1), nullptr);
    EXPECT_EQ(Arena::last_error(), Errc::kArenaFull);
  }
  EXPECT_TRUE(test::read_faults(place));
}

TEST(MappedScratch, RefusesWhatCannotBe) {
  for (const std::size_t size : {std::size_t{0}, ~std::size_t{0}, std::size_t{1} << 47}) {
    MappedScratch mapped(size);
    EXPECT_FALSE(mapped);
    EXPECT_EQ(Arena::last_error(), Errc::kBadArgument);
    EXPECT_EQ(mapped.arena().push(1), nullptr);
  }
}

}  // namespace
}  // namespace allot
