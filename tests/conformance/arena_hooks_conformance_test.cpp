// What every kind of arena over every source tells its hook, in which order, to one thread or to many.

#include <cstddef>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/temp.hpp>

#include "tests/support/arena_kinds.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using Kind = ArenaEvent::Kind;

struct Told {
  Kind kind;
  const void* address;
  std::size_t size_bytes;
  std::size_t used_bytes;
  std::thread::id thread;
};

// Without a lock of its own: a `locked` arena calls it with its mutex held.
void remember(void* context, const ArenaEvent& event) noexcept {
  static_cast<std::vector<Told>*>(context)->push_back(
      {event.kind, event.address, event.size_bytes, event.used_bytes, std::this_thread::get_id()});
}

std::vector<Kind> kinds_of(const std::vector<Told>& told) {
  std::vector<Kind> kinds;
  for (const Told& one : told) {
    if (one.kind != Kind::kGrow) kinds.push_back(one.kind);
  }
  return kinds;
}

class ArenaHooks : public test::ArenaKinds {
 protected:
  [[nodiscard]] Arena hooked(std::vector<Told>& told, bool locked) {
    ArenaOptions options = under_test().options();
    options.hook = {&remember, &told};
    options.locked = locked;
    return under_test().make(options);
  }
};
ALLOT_ARENA_SUITE(ArenaHooks);

TEST_P(ArenaHooks, AreToldOfEachEventInOrder) {
  for (const bool locked : {false, true}) {
    std::vector<Told> told;
    Arena arena = hooked(told, locked);
    const void* const first = arena.push(100, 1);
    const void* const second = arena.push_zero(50, 1);
    ASSERT_NE(second, nullptr);
    const ArenaMark mark = arena.pos();
    ASSERT_EQ(arena.push(~std::size_t{0}), nullptr);
    ASSERT_EQ(arena.pop(1000), Errc::kPopTooMuch);
    {
      const Temp temp(arena);
      ASSERT_NE(arena.push(20'000, 1), nullptr) << "more than a block";
    }
    ASSERT_NE(arena.push(7, 1), nullptr);
    ASSERT_EQ(arena.pop_to(mark), Errc::kOk);
    ASSERT_EQ(arena.pop(50), Errc::kOk);
    ASSERT_EQ(arena.clear(), Errc::kOk);
    ASSERT_EQ(arena.release(), Errc::kOk);
    const std::vector<Kind> expected = {
        Kind::kPush, Kind::kPush, Kind::kScopeBegin, Kind::kPush,  Kind::kScopeEnd,
        Kind::kPush, Kind::kPop,  Kind::kPop,        Kind::kClear, Kind::kRelease};
    ASSERT_EQ(kinds_of(told), expected);
    std::erase_if(told, [](const Told& one) { return one.kind == Kind::kGrow; });
    const std::size_t sizes[] = {100, 50, 0, 20'000, 20'000, 7, 7, 50, 100, 0};
    const std::size_t used[] = {100, 150, 150, 20'150, 150, 157, 150, 100, 0, 0};
    for (std::size_t i = 0; i < told.size(); ++i) {
      EXPECT_EQ(told[i].size_bytes, sizes[i]) << i;
      EXPECT_EQ(told[i].used_bytes, used[i]) << i;
    }
    EXPECT_EQ(told[0].address, first);
    EXPECT_EQ(told[1].address, second);
  }
}

TEST_P(ArenaHooks, GrowthIsToldBeforeThePushThatNeededItAndAddsUp) {
  std::vector<Told> told;
  Arena arena = hooked(told, false);
  std::size_t committed = 0;
  const auto expect_growth = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      ASSERT_EQ(told[i].kind, Kind::kGrow);
      committed += told[i].size_bytes;
    }
  };
  // A caller's buffer is no growth.
  const std::size_t given = GetParam().ground == test::ArenaGround::kBuffer ? arena.committed() : 0;
  expect_growth(0, told.size());
  ASSERT_EQ(committed + given, arena.committed());
  for (const std::size_t size : {100U, 10'000U, 10'000U, 40'000U, 100'000U, 10U, 10'000U}) {
    const std::size_t before = told.size();
    ASSERT_NE(arena.push(size, 1), nullptr);
    ASSERT_GT(told.size(), before);
    EXPECT_EQ(told.back().kind, Kind::kPush);
    EXPECT_EQ(told.back().size_bytes, size);
    expect_growth(before, told.size() - 1);
    EXPECT_EQ(committed + given, arena.committed()) << size;
  }
  EXPECT_EQ(arena.release(), Errc::kOk);
}

TEST_P(ArenaHooks, OfALockedArenaAreToldByOneThreadAtATime) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kRounds = 3000;
  constexpr std::size_t kBytes = 48;
  std::vector<Told> told;
  Arena arena = hooked(told, true);
  test::run_threads(kThreads, [&](std::size_t me) {
    for (std::size_t i = 0; i < kRounds; ++i) {
      ASSERT_NE(me % 2 == 0 ? arena.push(kBytes, 16) : arena.push_zero(kBytes, 16), nullptr);
      // What another thread may have pushed: as much, and nothing that is used here.
      if (i % 8 == 0) {
        ASSERT_EQ(arena.pop(kBytes), Errc::kOk);
      }
    }
  });
  std::size_t pushes = 0;
  std::size_t pops = 0;
  for (const Told& one : told) {
    pushes += one.kind == Kind::kPush ? 1 : 0;
    pops += one.kind == Kind::kPop ? 1 : 0;
  }
  EXPECT_EQ(pushes, kThreads * kRounds);
  EXPECT_EQ(pops, kThreads * ((kRounds + 7) / 8));
  EXPECT_EQ(told.back().used_bytes, arena.used_bytes());
  EXPECT_EQ(arena.release(), Errc::kOk);
  EXPECT_EQ(told.back().kind, Kind::kRelease);
}

}  // namespace
}  // namespace allot
