// Where an arena's memory comes from, and what happens when it does not come.

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include <allot/embedded.hpp>
#include <allot/scratch.hpp>

#include "tests/support/forked_child.hpp"
#include "tests/support/sanitizer.hpp"

namespace allot {
namespace {

TEST(ArenaSources, ARegionsQuotaSpentInTheMiddleOfGrowthLosesNothing) {
  auto region = EmbeddedRegion::create({std::uint64_t{1} << 28, std::uint64_t{8} << 20}).value();
  Session session = region.connect().value();
  {
    ArenaOptions options;
    options.source = session;
    options.block_bytes = options.max_block_bytes = 256 << 10;
    Arena arena = Arena::chained(options);
    ASSERT_TRUE(arena);
    std::vector<unsigned char*> blocks;
    while (auto* const block = static_cast<unsigned char*>(arena.push(10'000))) {
      std::memset(block, 5, 10'000);
      blocks.push_back(block);
      ASSERT_LT(blocks.size(), 2000U);
    }
    const Errc why = Arena::last_error();
    EXPECT_TRUE(why == Errc::kSessionQuota || why == Errc::kCommitLimit || why == Errc::kUidQuota ||
                why == Errc::kRegionFull)
        << describe(why);
    EXPECT_GT(blocks.size(), 300U);
    const std::size_t used = arena.used_bytes();
    EXPECT_EQ(arena.push(10'000), nullptr);
    EXPECT_EQ(arena.push(100'000'000), nullptr);
    EXPECT_EQ(arena.used_bytes(), used);
    for (const unsigned char* const block : blocks) {
      EXPECT_EQ(std::count(block, block + 10'000, 5), 10'000);
    }
    EXPECT_EQ(arena.clear(), Errc::kOk);
    EXPECT_NE(arena.push(10'000), nullptr);
  }
  EXPECT_EQ(region.audit().live_blocks, 0U);
  session.close();
}

TEST(ArenaSources, NeverShowsWhatAnotherSessionLeft) {
  auto region = EmbeddedRegion::create({std::uint64_t{1} << 28, std::uint64_t{64} << 20}).value();
  Session session = region.connect().value();
  for (const std::size_t bytes : {std::size_t{16} << 10, std::size_t{1} << 20}) {
    void* const left = session.allocate(bytes);
    ASSERT_NE(left, nullptr);
    std::memset(left, 0x5E, bytes);
    ASSERT_EQ(session.free(left), Errc::kOk);
    ArenaOptions options;
    options.source = session;
    options.checks = ArenaChecks::kOff;
    options.block_bytes = bytes;
    Arena arena = Arena::chained(options);
    auto* const block = static_cast<unsigned char*>(arena.push(bytes, 1));
    EXPECT_EQ(std::count(block, block + bytes, 0x5E), 0);
  }
  session.close();
}

TEST(ArenaSources, VirtualKindsDoNotStandOnAnotherArena) {
  Arena parent = Arena::reserve(1 << 24);
  ArenaOptions options;
  options.source = parent;
  EXPECT_FALSE(Arena::reserve(1 << 20, options));
  EXPECT_EQ(Arena::last_error(), Errc::kArenaKind);
  EXPECT_FALSE(Arena::reserve_chained(1 << 20, options));
  EXPECT_EQ(Arena::last_error(), Errc::kArenaKind);
  EXPECT_EQ(parent.used_bytes(), 0U);
}

TEST(ArenaSources, RefusesOptionsThatMakeNoSense) {
  EXPECT_FALSE(Arena::fixed(std::span<std::byte>()));
  EXPECT_EQ(Arena::last_error(), Errc::kBadArgument);
  EXPECT_FALSE(Arena::fixed(std::size_t{0}));
  EXPECT_EQ(Arena::last_error(), Errc::kBadArgument);
  EXPECT_FALSE(Arena::reserve(~std::size_t{0}));
  EXPECT_EQ(Arena::last_error(), Errc::kSizeTooLarge);
  for (const std::size_t page : {std::size_t{1}, std::size_t{4097}, std::size_t{1} << 40}) {
    ArenaOptions options;
    options.page_bytes = page;
    EXPECT_FALSE(Arena::chained(options)) << page;
    EXPECT_EQ(Arena::last_error(), Errc::kBadArgument);
  }
  Arena empty;
  EXPECT_EQ(empty.push(1), nullptr);
  EXPECT_EQ(Arena::last_error(), Errc::kClosed);
  EXPECT_EQ(empty.clear(), Errc::kClosed);
  ArenaOptions options;
  options.source = empty;
  EXPECT_FALSE(Arena::chained(options));
  EXPECT_EQ(Arena::last_error(), Errc::kClosed);
}

TEST(ArenaSources, PagesMayBeLarger) {
  for (const std::size_t page : {std::size_t{64} << 10, std::size_t{2} << 20}) {
    ArenaOptions options;
    options.page_bytes = page;
    Arena arena = Arena::reserve(std::size_t{64} << 20, options);
    ASSERT_TRUE(arena);
    EXPECT_EQ(arena.page_bytes(), page);
    auto* const block = static_cast<char*>(arena.push(1, page));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(arena.used_bytes(), 1U) << "the base is aligned to a page of it";
    EXPECT_EQ(arena.committed() % page, 0U);
    *block = 1;
  }
}

TEST(ArenaSources, AChildGivesItsBlocksBackToItsParent) {
  Arena parent = Arena::chained();
  ASSERT_NE(parent.push(100), nullptr);
  const ArenaMark before = parent.pos();
  ArenaOptions options;
  options.source = parent;
  options.block_bytes = 4096;
  {
    Arena child = Arena::chained(options);
    for (int i = 0; i < 100; ++i) ASSERT_NE(child.push(1000), nullptr);
    EXPECT_EQ(parent.pop_to(before), Errc::kScopeOpen) << "a child is alive above";
    EXPECT_EQ(parent.clear(), Errc::kScopeOpen);
    EXPECT_TRUE(parent.contains(child.push(1)));
  }
  EXPECT_EQ(parent.pop_to(before), Errc::kOk);
  EXPECT_EQ(parent.clear(), Errc::kOk);
}

TEST(ArenaSources, AChildOutlivesTheHandleOfItsParent) {
  ArenaOptions unchecked;
  unchecked.checks = ArenaChecks::kOff;
  Arena child;
  {
    Arena parent = Arena::chained(unchecked);
    ArenaOptions options = unchecked;
    options.source = parent;
    child = Arena::fixed(1000, options);
    EXPECT_EQ(parent.release(), Errc::kScopeOpen);
  }
  auto* const block = static_cast<char*>(child.push(900));
  ASSERT_NE(block, nullptr);
  std::memset(block, 1, 900);
  EXPECT_EQ(child.release(), Errc::kOk);
}

TEST(ArenaSources, AChildDoesNotGrowIntoAScratchOfItsParent) {
  ArenaOptions unchecked;
  unchecked.checks = ArenaChecks::kOff;
  Arena parent = Arena::chained(unchecked);
  ArenaOptions options = unchecked;
  options.source = parent;
  options.block_bytes = 4096;
  Arena child = Arena::chained(options);
  {
    const Scratch inner(parent);
    ASSERT_TRUE(inner);
    EXPECT_EQ(child.push(100'000), nullptr);
    EXPECT_EQ(Arena::last_error(), Errc::kScopeOpen);
  }
  EXPECT_NE(child.push(100'000), nullptr);
}

// --- without memory or address space; in a child of its own, for limits are for ever ---

int with_limit(int resource, rlim_t bytes) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) return 1;
  limit.rlim_cur = bytes;
  return ::setrlimit(static_cast<__rlimit_resource>(resource), &limit);
}

TEST(ArenaSources, WithoutAddressSpaceAReservationIsHalvedAndAPushFails) {
  if (test::kAddressSanitizer || test::kThreadSanitizer) GTEST_SKIP() << "limits address space";
  const auto ending = test::run_in_child([] {
    if (with_limit(RLIMIT_AS, rlim_t{4} << 30) != 0) return 1;
    Arena arena = Arena::reserve();
    if (!arena || arena.reserved() >= kArenaReserveBytes || arena.reserved() < (1 << 20)) return 2;
    if (arena.push(1000) == nullptr) return 3;
    Arena chained = Arena::chained();
    if (chained.push(100) == nullptr) return 4;
    const std::size_t used = chained.used_bytes();
    if (chained.push(std::size_t{8} << 30) != nullptr) return 5;
    if (Arena::last_error() != Errc::kAddressSpace) return 6;
    if (chained.used_bytes() != used || chained.push(100) == nullptr) return 7;
    const Arena fixed = Arena::fixed(std::size_t{8} << 30);
    if (fixed || Arena::last_error() != Errc::kAddressSpace) return 8;
    return 0;
  });
  EXPECT_EQ(ending, test::exited(0));
}

TEST(ArenaSources, WithoutMemoryACommitFailsAndNothingIsLost) {
  if (test::kAddressSanitizer || test::kThreadSanitizer) GTEST_SKIP() << "limits memory";
  const auto ending = test::run_in_child([] {
    Arena arena = Arena::reserve(std::size_t{8} << 30);
    // Private writable memory; a page that becomes writable counts.
    if (with_limit(RLIMIT_DATA, rlim_t{256} << 20) != 0) return 1;
    auto* const block = static_cast<char*>(arena.push(1000));
    if (block == nullptr) return 2;
    *block = 7;
    const std::size_t used = arena.used_bytes();
    if (arena.push(std::size_t{1} << 30) != nullptr) return 3;
    if (Arena::last_error() != Errc::kMachineFull) return 4;
    if (arena.push_zero(std::size_t{1} << 30) != nullptr) return 5;
    if (arena.used_bytes() != used || *block != 7) return 6;
    return arena.push(100'000) != nullptr ? 0 : 7;
  });
  EXPECT_EQ(ending, test::exited(0));
}

}  // namespace
}  // namespace allot
