// What every push of an arena promises, whatever its kind and source.

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/arena_kinds.hpp"
#include "tests/support/sanitizer.hpp"

namespace allot {
namespace {

using test::ArenaUnderTest;

constexpr std::size_t kMaxSize = std::numeric_limits<std::size_t>::max();

class ArenaPush : public test::ArenaKinds {};
ALLOT_ARENA_SUITE(ArenaPush);

TEST_P(ArenaPush, KnowsWhatItIs) {
  EXPECT_EQ(arena().kind(), GetParam().kind);
  EXPECT_EQ(arena().name(), "under test");
  EXPECT_NE(std::string(arena().made_at().file).find("arena_under_test"), std::string::npos);
  EXPECT_GE(arena().reserved(), arena().committed());
  EXPECT_EQ(arena().used_bytes(), 0U);
  EXPECT_GE(arena().page_bytes(), 4096U);
}

TEST_P(ArenaPush, PushesLieBesideEachOther) {
  auto* const first = static_cast<char*>(arena().push(10, 1));
  auto* const second = static_cast<char*>(arena().push(10, 1));
  auto* const third = static_cast<char*>(arena().push(10, 8));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(second, first + 10);
  EXPECT_GE(third, second + 10);
  EXPECT_LT(third, second + 18);
  EXPECT_TRUE(arena().contains(first));
  EXPECT_FALSE(arena().contains(&third));
}

TEST_P(ArenaPush, SizeZeroGivesAnAddressOfItsOwn) {
  const void* const first = arena().push(0, 1);
  const void* const second = arena().push(0, 1);
  const void* const third = arena().push_zero(0, 1);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  ASSERT_NE(third, nullptr);
  EXPECT_NE(first, second);
  EXPECT_NE(second, third);
}

TEST_P(ArenaPush, SizesNearTheTopAreRefusedInEveryPush) {
  ASSERT_NE(arena().push(100), nullptr);
  const ArenaMark before = arena().pos();
  for (const std::size_t size : {kMaxSize, kMaxSize - 1, kMaxSize - 15, kMaxSize - 16,
                                 kMaxSize - 100, kMaxSize / 2 + 1, std::size_t{1} << 48}) {
    for (const std::size_t alignment : {std::size_t{1}, std::size_t{16}, std::size_t{4096}}) {
      EXPECT_EQ(arena().push(size, alignment), nullptr) << size;
      EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge);
      EXPECT_EQ(arena().try_push(size, alignment), nullptr) << size;
      EXPECT_EQ(arena().push_zero(size, alignment), nullptr) << size;
    }
    EXPECT_EQ(arena().push(size), nullptr) << size;
    EXPECT_EQ(arena().push_array<std::uint64_t>(size), nullptr) << size;
    EXPECT_EQ(arena().push_array_zero<std::uint64_t>(size), nullptr) << size;
  }
  EXPECT_EQ(arena().push_array<std::uint64_t>(kMaxSize / 8 + 1), nullptr);
  EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge);
  expect_unchanged(before);
}

TEST_P(ArenaPush, AlignmentsThatAreNoneAreRefused) {
  const ArenaMark before = arena().pos();
  for (const std::size_t alignment :
       {std::size_t{0}, std::size_t{3}, std::size_t{24}, kMaxSize, (std::size_t{1} << 63) + 1}) {
    EXPECT_EQ(arena().push(8, alignment), nullptr) << alignment;
    EXPECT_EQ(Arena::last_error(), Errc::kBadAlignment);
    EXPECT_EQ(arena().try_push(8, alignment), nullptr) << alignment;
    EXPECT_EQ(arena().push_zero(8, alignment), nullptr) << alignment;
    EXPECT_EQ(arena().push_aligner(alignment), Arena::kFailed) << alignment;
    EXPECT_EQ(arena().set_auto_align(alignment), Errc::kBadAlignment) << alignment;
  }
  EXPECT_EQ(arena().push(8, std::size_t{1} << 63), nullptr);
  expect_unchanged(before);
}

TEST_P(ArenaPush, AlignsTheAddress) {
  for (std::size_t alignment = 1; alignment <= 8192; alignment *= 2) {
    ASSERT_NE(arena().push(1, 1), nullptr);
    const void* const block = arena().push(3, alignment);
    ASSERT_NE(block, nullptr) << alignment;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0U);
  }
}

TEST_P(ArenaPush, AutoAlignIsSixteenUnlessSet) {
  ASSERT_NE(arena().push(1, 1), nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena().push(1)) % 16, 0U);
  EXPECT_EQ(arena().set_auto_align(64), Errc::kOk);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena().push(1)) % 64, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena().push(1)) % 64, 0U);
}

TEST_P(ArenaPush, AlignerReturnsThePadding) {
  ASSERT_NE(arena().push(1, 4096), nullptr);
  const std::size_t used = arena().used_bytes();
  EXPECT_EQ(arena().push_aligner(64), 63U);
  EXPECT_EQ(arena().used_bytes(), used + 63);
  EXPECT_EQ(arena().push_aligner(64), 0U);
  EXPECT_EQ(arena().push_aligner(1), 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena().push(1, 1)) % 64, 0U);
}

TEST_P(ArenaPush, AnAlignerBeyondTheBlockFailsOrFindsAnother) {
  ASSERT_NE(arena().push(ArenaUnderTest::kBlockBytes - 8, 1), nullptr);
  const std::size_t used = arena().used_bytes();
  const std::size_t padding = arena().push_aligner(4096);
  ASSERT_NE(padding, Arena::kFailed);
  EXPECT_EQ(arena().used_bytes(), used + padding);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena().push(1, 1)) % 4096, 0U);
}

TEST_P(ArenaPush, ZeroedPushesAreZeroWhateverLayThere) {
  for (int round = 0; round < 3; ++round) {
    const ArenaMark start = arena().pos();
    for (const std::size_t size : {1U, 16U, 5000U, 40'000U, 100'000U}) {
      auto* const block = static_cast<unsigned char*>(arena().push_zero(size, 8));
      ASSERT_NE(block, nullptr) << size;
      EXPECT_EQ(std::count(block, block + size, 0), static_cast<std::ptrdiff_t>(size)) << size;
      std::memset(block, 0xFF, size);
    }
    EXPECT_EQ(arena().pop_to(start), Errc::kOk);
  }
}

TEST_P(ArenaPush, AnAlignedZeroingPushMayJumpPastTheCommitMark) {
  ASSERT_NE(arena().push(ArenaUnderTest::kBlockBytes / 2, 1), nullptr);
  auto* const block = static_cast<unsigned char*>(arena().push_zero(100, 64 << 10));
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(std::count(block, block + 100, 0), 100);
}

TEST_P(ArenaPush, IsFullAtItsLimitAndLosesNothing) {
  std::vector<unsigned char*> blocks;
  ArenaOptions options = under_test().options();
  options.limit_bytes = ArenaUnderTest::kCapacityBytes;
  Arena limited = under_test().make(options);
  ASSERT_TRUE(limited);
  for (;;) {
    auto* const block = static_cast<unsigned char*>(limited.push(1000, 8));
    if (block == nullptr) break;
    std::memset(block, static_cast<int>(blocks.size() % 256), 1000);
    blocks.push_back(block);
    ASSERT_LE(blocks.size(), ArenaUnderTest::kCapacityBytes / 1000);
  }
  EXPECT_EQ(Arena::last_error(), Errc::kArenaFull);
  EXPECT_EQ(limited.try_push(1000, 8), nullptr);
  EXPECT_EQ(limited.push_zero(1000, 8), nullptr);
  EXPECT_GE(blocks.size(), ArenaUnderTest::kCapacityBytes / 1000 * 9 / 10);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(std::count(blocks[i], blocks[i] + 1000, static_cast<unsigned char>(i % 256)), 1000);
  }
  EXPECT_EQ(limited.pop(1000), Errc::kOk);
  EXPECT_NE(limited.push(1000, 1), nullptr);
}

TEST_P(ArenaPush, APushLargerThanABlockLeavesTheCurrentOneInUse) {
  auto* const before = static_cast<char*>(arena().push(64));
  ASSERT_NE(arena().push(100'000), nullptr);
  auto* const after = static_cast<char*>(arena().push(64));
  if (GetParam().kind == ArenaKind::kChained) {
    EXPECT_EQ(after, before + 64);
  }
  EXPECT_EQ(arena().used_bytes(), 64 + 100'000 + 64U);
}

TEST_P(ArenaPush, ChecksFillWhatIsFreshAndWhatIsTakenBack) {
  if (!checked() || test::kAddressSanitizer) GTEST_SKIP() << "only with checks, and unpoisoned";
  auto* const block = static_cast<unsigned char*>(arena().push(100));
  EXPECT_EQ(std::count(block, block + 100, 0xA5), 100);
  std::memset(block, 1, 100);
  ASSERT_EQ(arena().pop(100), Errc::kOk);
  EXPECT_EQ(std::count(block, block + 100, 0xDD), 100);
  EXPECT_EQ(arena().push(100), block);
  EXPECT_EQ(arena().clear(), Errc::kOk);
  EXPECT_EQ(std::count(block, block + 100, 0xDD), 100);
}

}  // namespace
}  // namespace allot
