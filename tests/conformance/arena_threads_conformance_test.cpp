// A locked arena under several threads; run under ThreadSanitizer.

#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/temp.hpp>

#include "tests/support/arena_under_test.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

class ArenaThreads : public testing::TestWithParam<ArenaKind> {};
INSTANTIATE_TEST_SUITE_P(Any, ArenaThreads,
                         testing::Values(ArenaKind::kFixed, ArenaKind::kChained,
                                         ArenaKind::kVirtual, ArenaKind::kChainedVirtual));

TEST_P(ArenaThreads, ALockedArenaServesSeveralThreads) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kPushes = 2000;
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    test::ArenaUnderTest under_test({GetParam(), test::ArenaGround::kPages, checks, true});
    Arena& arena = under_test.arena();
    std::vector<std::vector<unsigned char*>> blocks(kThreads);
    test::run_threads(kThreads, [&](std::size_t me) {
      for (std::size_t i = 0; i < kPushes; ++i) {
        auto* const block =
            static_cast<unsigned char*>(i % 2 == 0 ? arena.push_zero(48) : arena.push(48, 8));
        ASSERT_NE(block, nullptr);
        std::memset(block, static_cast<int>(me + 1), 48);
        blocks[me].push_back(block);
        if (i % 64 == 0) {
          EXPECT_TRUE(arena.contains(block));
          EXPECT_GE(arena.committed(), 48U);
          EXPECT_GE(arena.pos().offset, 48U);
          EXPECT_EQ(arena.push(~std::size_t{0}), nullptr);
          EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge);
          (void)arena.shrink();
        }
      }
    });
    for (std::size_t me = 0; me < kThreads; ++me) {
      for (const unsigned char* const block : blocks[me]) {
        for (std::size_t i = 0; i < 48; ++i) ASSERT_EQ(block[i], me + 1);
      }
    }
    EXPECT_GE(arena.used_bytes(), kThreads * kPushes * 48);
  }
}

TEST_P(ArenaThreads, NobodyElsePushesWhileAThreadHasAScopeOpen) {
  test::ArenaUnderTest under_test({GetParam(), test::ArenaGround::kPages, ArenaChecks::kOff, true});
  Arena& arena = under_test.arena();
  ASSERT_NE(arena.push(8), nullptr);
  const std::size_t used = arena.used_bytes();
  {
    const Temp temp(arena);
    ASSERT_NE(arena.push(8), nullptr);
    std::thread([&] {
      EXPECT_EQ(arena.push(8), nullptr);
      EXPECT_EQ(Arena::last_error(), Errc::kScopeOpen);
      EXPECT_EQ(arena.pop(8), Errc::kScopeOpen);
      EXPECT_GE(arena.used_bytes(), used);
    }).join();
  }
  EXPECT_EQ(arena.used_bytes(), used);
  std::thread([&] { EXPECT_NE(arena.push(8), nullptr); }).join();
}

}  // namespace
}  // namespace allot
