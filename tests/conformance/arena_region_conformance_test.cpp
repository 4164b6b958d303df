// Virtual arenas in a region: their address space is theirs alone, their memory is granted as they grow.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include <allot/embedded.hpp>
#include <allot/vlarray.hpp>

namespace allot {
namespace {

constexpr std::size_t kKiB = std::size_t{1} << 10;
constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kGranuleBytes = 64 * kKiB;

class ArenaInARegion : public testing::Test {
 protected:
  static constexpr std::uint64_t kQuotaBytes = 8 * kMiB;
  // What the session keeps for the notes of its arenas.
  static constexpr std::uint64_t kNotesBytes = kGranuleBytes;

  ~ArenaInARegion() override { session_.close(); }

  [[nodiscard]] ArenaOptions options() { return options_of(session_); }
  [[nodiscard]] static ArenaOptions options_of(Session& session) {
    ArenaOptions options;
    options.source = session;
    options.checks = ArenaChecks::kOff;
    return options;
  }
  void expect_nothing_left() {
    session_.trim();  // where the notes were
    const EmbeddedAudit found = region_.audit();
    EXPECT_EQ(found.granted_bytes, 0U);
    EXPECT_EQ(found.live_blocks, 0U);
    EXPECT_EQ(found.violations, 0U);
  }
  EmbeddedRegion& region() { return region_; }
  Session& session() { return session_; }

 private:
  EmbeddedRegion region_ = EmbeddedRegion::create({256 * kMiB, kQuotaBytes}).value();
  Session session_ = region_.connect().value();
};

TEST_F(ArenaInARegion, HasNoMemoryUntilItIsPushedTo) {
  Arena arena = Arena::reserve(16 * kMiB, options());
  ASSERT_TRUE(arena);
  EXPECT_EQ(arena.reserved(), 16 * kMiB);
  EXPECT_EQ(arena.committed(), 0U);
  EXPECT_EQ(region().audit().granted_bytes, 0U);
  ASSERT_NE(arena.push(1), nullptr);
  EXPECT_EQ(arena.committed(), kGranuleBytes);
  EXPECT_EQ(region().audit().granted_bytes, kNotesBytes + kGranuleBytes);
  EXPECT_EQ(arena.release(), Errc::kOk);
  expect_nothing_left();
}

TEST_F(ArenaInARegion, GrowsByDoubledStepsInOnePiece) {
  Arena arena = Arena::reserve(16 * kMiB, options());
  auto* const first = static_cast<char*>(arena.push(kKiB, 1));
  for (std::size_t i = 1; i < 4096; ++i) ASSERT_EQ(arena.push(kKiB, 1), first + i * kKiB) << i;
  EXPECT_EQ(arena.committed(), (64 + 128 + 256 + 512) * kKiB + (1 + 2 + 4) * kMiB);
  const EmbeddedAudit found = region().audit();
  EXPECT_EQ(found.granted_bytes, kNotesBytes + arena.committed());
  EXPECT_EQ(found.live_blocks, 1U + 7U) << "each step is a block of its own";
  EXPECT_EQ(found.violations, 0U);
}

TEST_F(ArenaInARegion, IsReservedLessByHalvesWhereThereIsNoRoom) {
  const Arena arena = Arena::reserve(kArenaReserveBytes, options());
  ASSERT_TRUE(arena);
  EXPECT_EQ(arena.reserved(), 16 * kMiB) << "half of the limit, an eighth of the region";
  const Arena second = Arena::reserve(kArenaReserveBytes, options());
  EXPECT_EQ(second.reserved(), 8 * kMiB) << "and of what is left";
  ArenaOptions large = options();
  large.commit_bytes = 9 * kMiB;
  EXPECT_FALSE(Arena::reserve(kArenaReserveBytes, large));
  EXPECT_EQ(Arena::last_error(), Errc::kReserveLimit);
  EXPECT_NE(Session::last_error().message().find("session_reserve_bytes"), std::string::npos);
}

TEST_F(ArenaInARegion, NewMemoryIsZeroWhateverWasThereBefore) {
  for (int round = 0; round < 3; ++round) {
    Arena arena = Arena::reserve(4 * kMiB, options());
    for (std::size_t i = 0; i < 48; ++i) {
      auto* const block = static_cast<unsigned char*>(arena.push_zero(kGranuleBytes, 1));
      ASSERT_NE(block, nullptr);
      ASSERT_EQ(std::count(block, block + kGranuleBytes, 0), kGranuleBytes) << round << '.' << i;
      std::memset(block, 0x5E, kGranuleBytes);
    }
  }
  expect_nothing_left();
}

TEST_F(ArenaInARegion, ShrinksByWholeStepsAndGrowsAgain) {
  Arena arena = Arena::reserve(16 * kMiB, options());
  auto* const kept = static_cast<char*>(arena.push(100));
  std::memset(kept, 7, 100);
  const ArenaMark mark = arena.pos();
  auto* const above = static_cast<unsigned char*>(arena.push(3 * kMiB, 1));
  ASSERT_NE(above, nullptr);
  std::memset(above, 0x5E, 3 * kMiB);
  ASSERT_EQ(arena.pop_to(mark), Errc::kOk);
  const std::size_t before = arena.committed();
  EXPECT_EQ(arena.shrink(), before - kGranuleBytes);
  EXPECT_EQ(arena.committed(), kGranuleBytes);
  EXPECT_EQ(region().audit().granted_bytes, kNotesBytes + kGranuleBytes);
  auto* const again = static_cast<unsigned char*>(arena.push_zero(3 * kMiB, 1));
  EXPECT_EQ(again, above);
  EXPECT_EQ(std::count(again, again + 3 * kMiB, 0), static_cast<std::ptrdiff_t>(3 * kMiB));
  EXPECT_EQ(std::count(kept, kept + 100, 7), 100);
}

TEST_F(ArenaInARegion, AQuotaSpentInTheMiddleOfGrowthLosesNothing) {
  for (const bool chained : {false, true}) {
    Arena arena =
        chained ? Arena::reserve_chained(kMiB, options()) : Arena::reserve(16 * kMiB, options());
    std::vector<unsigned char*> blocks;
    while (auto* const block = static_cast<unsigned char*>(arena.push(10'000))) {
      std::memset(block, 5, 10'000);
      blocks.push_back(block);
      ASSERT_LT(blocks.size(), 2000U);
    }
    EXPECT_EQ(Arena::last_error(), Errc::kSessionQuota);
    EXPECT_GT(blocks.size() * 10'000, kQuotaBytes - 2 * kGranuleBytes - 20'000);
    const std::size_t used = arena.used_bytes();
    EXPECT_EQ(arena.push(100'000), nullptr);
    EXPECT_EQ(arena.push(12'000'000), nullptr);
    EXPECT_EQ(arena.used_bytes(), used);
    for (const unsigned char* const block : blocks) {
      ASSERT_EQ(std::count(block, block + 10'000, 5), 10'000);
    }
    EXPECT_EQ(region().audit().violations, 0U);
    EXPECT_EQ(arena.clear(), Errc::kOk);
    EXPECT_NE(arena.push(10'000), nullptr);
    EXPECT_EQ(arena.release(), Errc::kOk);
    expect_nothing_left();
  }
}

TEST_F(ArenaInARegion, TwoSessionsNeverHaveTheSameMemory) {
  Session other = region().connect().value();
  Arena ours = Arena::reserve_chained(512 * kKiB, options());
  Arena theirs = Arena::reserve_chained(512 * kKiB, options_of(other));
  std::vector<unsigned char*> our_blocks;
  std::vector<unsigned char*> their_blocks;
  for (int i = 0; i < 50; ++i) {
    for (auto [arena, blocks, value] :
         {std::tuple(&ours, &our_blocks, 1), std::tuple(&theirs, &their_blocks, 2)}) {
      auto* const block = static_cast<unsigned char*>(arena->push(50'000));
      ASSERT_NE(block, nullptr);
      std::memset(block, value, 50'000);
      blocks->push_back(block);
    }
  }
  for (const unsigned char* const block : our_blocks) {
    ASSERT_EQ(std::count(block, block + 50'000, 1), 50'000);
  }
  for (const unsigned char* const block : their_blocks) {
    ASSERT_EQ(std::count(block, block + 50'000, 2), 50'000);
  }
  EXPECT_EQ(region().audit().violations, 0U);
  EXPECT_EQ(theirs.release(), Errc::kOk);
  other.close();
}

TEST_F(ArenaInARegion, AStepThatSomebodyAdoptedOutlivesTheArena) {
  Session other = region().connect().value();
  Arena arena = Arena::reserve(4 * kMiB, options());
  auto* const base = static_cast<char*>(arena.push(100'000));
  std::memset(base, 6, 100'000);
  const Handle handle = session().offer(base).value();
  auto* const theirs = static_cast<char*>(other.adopt(handle).value());
  EXPECT_EQ(arena.release(), Errc::kOk);
  Arena next = Arena::reserve(4 * kMiB, options());
  std::memset(next.push(2 * kMiB), 1, 2 * kMiB);
  EXPECT_EQ(std::count(theirs, theirs + 100'000, 6), 100'000);
  EXPECT_EQ(region().audit().violations, 0U);
  EXPECT_EQ(other.free(theirs), Errc::kOk);
  EXPECT_EQ(next.release(), Errc::kOk);
  (void)session().trim();
  expect_nothing_left();
  other.close();
}

TEST_F(ArenaInARegion, OutlivesItsSessionsEnd) {
  Arena arena = Arena::reserve(4 * kMiB, options());
  ASSERT_NE(arena.push(100'000), nullptr);
  session().close();
  EXPECT_EQ(arena.push(kMiB), nullptr);
  EXPECT_EQ(Arena::last_error(), Errc::kClosed);
  EXPECT_EQ(arena.release(), Errc::kOk);
  expect_nothing_left();
}

TEST_F(ArenaInARegion, HoldsAVlArray) {
  Arena arena = Arena::reserve(4 * kMiB, options());
  VlArray<std::uint64_t> array(arena);
  for (std::uint64_t i = 0; i < 200'000; ++i) ASSERT_NE(array.push_back(i), nullptr);
  const std::uint64_t* const first = &array[0];
  for (std::uint64_t i = 0; i < 200'000; ++i) ASSERT_EQ(first[i], i);
}

}  // namespace
}  // namespace allot
