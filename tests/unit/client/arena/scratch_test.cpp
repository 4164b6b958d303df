#include <allot/scratch.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/fault_probe.hpp"
#include "tests/support/sanitizer.hpp"

namespace allot {
namespace {

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

// Every scratch arena there can be, each lent once and named as a conflict of the next.
class AllLent {
 public:
  AllLent() {
    for (std::size_t i = 0; i < kMaxScratchArenas; ++i) {
      open_.push_back(
          std::make_unique<Scratch>(std::span(conflicts_), Place::here(), ArenaChecks::kOff));
      conflicts_.push_back(&open_.back()->arena());
    }
  }
  AllLent(const AllLent&) = delete;
  AllLent& operator=(const AllLent&) = delete;
  ~AllLent() {
    while (!open_.empty()) open_.pop_back();
  }

  [[nodiscard]] std::span<const Arena* const> conflicts() const { return conflicts_; }
  [[nodiscard]] Scratch& last() { return *open_.back(); }

 private:
  std::vector<const Arena*> conflicts_;
  std::vector<std::unique_ptr<Scratch>> open_;
};

TEST(Scratch, ThereIsNoneBesideAllOfThemWithoutChecks) {
  std::thread([] {
    AllLent lent;
    ASSERT_TRUE(lent.last());
    ASSERT_EQ(scratch_arena_count(), kMaxScratchArenas);
    {
      Scratch none(lent.conflicts(), Place::here(), ArenaChecks::kOff);
      EXPECT_FALSE(none);
      EXPECT_EQ(Arena::last_error(), Errc::kScratchConflict);
      EXPECT_EQ(none->push(1), nullptr);
    }
    EXPECT_EQ(scratch_arena_count(), kMaxScratchArenas);
    EXPECT_NE(lent.last()->push(1), nullptr) << "as before";
    const Scratch one(lent.conflicts().first(kMaxScratchArenas - 1), Place::here(),
                      ArenaChecks::kOff);
    EXPECT_TRUE(one) << "one is not named";
  }).join();
}

TEST(Scratch, EndsWithItsThread) {
  if (test::kAddressSanitizer || test::kThreadSanitizer) GTEST_SKIP() << "probes by faulting";
  const std::byte* pushed = nullptr;
  std::thread([&] {
    auto one = scratch();
    auto* const block = static_cast<std::byte*>(one->push(100));
    ASSERT_NE(block, nullptr);
    EXPECT_FALSE(test::read_faults(block));
    pushed = block;
  }).join();
  ASSERT_NE(pushed, nullptr);
  EXPECT_TRUE(test::read_faults(pushed));
  std::thread([] { EXPECT_EQ(scratch_arena_count(), 0U); }).join();
}

}  // namespace
}  // namespace allot
