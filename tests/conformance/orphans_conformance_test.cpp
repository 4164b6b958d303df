// Spans whose session has ended while others have blocks in them: their free blocks are allocated again.

#include <atomic>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/region/size_class.hpp"
#include "tests/support/conformance.hpp"

namespace allot {
namespace {

constexpr std::size_t kSize = 256;
constexpr std::size_t kPerSpan =
    region::kSizeClasses[region::bin_of(kSize)].block_count;  // NOLINT(*-constant-array-index)

class Orphans : public test::Conformance {
 protected:
  // Fills `spans` spans in a session that ends; session() has `kept` blocks of each, which it returns.
  std::vector<void*> leave_orphans(std::size_t spans, std::size_t kept = 1) {
    Session& owner = add_session();
    std::vector<void*> blocks(spans * kPerSpan);
    EXPECT_TRUE(owner.allocate_n(kSize, blocks));
    std::vector<void*> adopted;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      if (i % kPerSpan >= kept) continue;
      std::memset(blocks[i], 0x5A, kSize);
      adopted.push_back(session().adopt(owner.offer(blocks[i]).value()).value());
    }
    end_session(owner);
    return adopted;
  }
  std::uint64_t granted() { return region().audit().granted_bytes; }
};
ALLOT_CONFORMANCE_SUITE(Orphans);

TEST_P(Orphans, AreAdoptedByWhoNeedsBlocksOfTheirSize) {
  const auto kept = leave_orphans(3);
  const std::uint64_t before = granted();
  Session& heir = add_session();
  std::vector<void*> blocks(3 * (kPerSpan - 1));
  ASSERT_TRUE(heir.allocate_n(kSize, blocks));
  EXPECT_EQ(granted(), before);
  for (void* const block : blocks) std::memset(block, 0, kSize);
  // What is freed elsewhere from now on comes to the heir.
  for (void* const block : kept) {
    for (std::size_t i = 0; i < kSize; ++i) ASSERT_EQ(static_cast<char*>(block)[i], 0x5A);
    EXPECT_EQ(session().free(block), Errc::kOk);
  }
  std::vector<void*> more(kept.size());
  ASSERT_TRUE(heir.allocate_n(kSize, more));
  EXPECT_EQ(granted(), before);
  EXPECT_TRUE(heir.free_n(more));
  EXPECT_TRUE(heir.free_n(blocks));
  EXPECT_EQ(heir.trim(), before);
}

TEST_P(Orphans, AreAdoptedByWhoHasABlockThere) {
  const auto kept = leave_orphans(1, 5);
  const std::uint64_t before = granted();
  std::vector<void*> blocks(kPerSpan - kept.size());
  ASSERT_TRUE(session().allocate_n(kSize, blocks));
  EXPECT_EQ(granted(), before);
  // Its own span now, in which it has blocks that were handed to it.
  EXPECT_TRUE(session().free_n(kept));
  std::vector<void*> again(kept.size());
  ASSERT_TRUE(session().allocate_n(kSize, again));
  EXPECT_EQ(granted(), before);
  EXPECT_EQ(std::set<void*>(again.begin(), again.end()), std::set<void*>(kept.begin(), kept.end()));
  EXPECT_TRUE(session().free_n(again));
  EXPECT_TRUE(session().free_n(blocks));
}

TEST_P(Orphans, AreLeftByWhoNeedsAnotherSizeOrLooksForPatterns) {
  const auto kept = leave_orphans(1);
  const std::uint64_t before = granted();
  Session& other = add_session();
  void* const of_another_size = other.allocate(kSize * 2);
  EXPECT_GT(granted(), before);
  EXPECT_EQ(other.free(of_another_size), Errc::kOk);
  EXPECT_GT(other.trim(), 0U);
  DebugOptions patterns;
  patterns.fill = true;
  Session& debugged = add_session(patterns);
  void* const block = debugged.allocate(kSize);
  EXPECT_GT(granted(), before);
  EXPECT_EQ(debugged.free(block), Errc::kOk);
  EXPECT_TRUE(session().free_n(kept));
}

TEST_P(Orphans, AreAdoptedBesideAThreadThatFreesThere) {
  const auto kept = leave_orphans(8, kPerSpan / 2);
  std::jthread other([&] {
    for (void* const block : kept) EXPECT_EQ(session().free(block), Errc::kOk);
  });
  std::vector<void*> blocks(8 * kPerSpan / 2);
  EXPECT_TRUE(session().allocate_n(kSize, blocks));
  other.join();
  EXPECT_TRUE(session().free_n(blocks));
}

TEST_P(Orphans, AreAdoptedOnceWhileTheirBlocksAreFreed) {
  const auto kept = leave_orphans(12, kPerSpan / 2);
  std::vector<Session*> heirs = {&add_session(), &add_session()};
  const std::size_t wanted = 12 * (kPerSpan / 2) / 4;
  std::atomic<std::size_t> damaged = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < 4; ++i) {
      threads.emplace_back([&, i] {
        Session& mine = *heirs[i / 2];
        std::vector<void*> blocks;
        for (std::size_t n = 0; n < wanted; ++n) {
          blocks.push_back(mine.allocate(kSize));
          std::memset(blocks.back(), static_cast<int>(i), kSize);
        }
        for (void* const block : blocks) {
          if (*static_cast<char*>(block) != static_cast<char>(i)) ++damaged;
          if (mine.free(block) != Errc::kOk) ++damaged;
        }
      });
    }
    for (void* const block : kept) {
      if (session().free(block) != Errc::kOk) ++damaged;
    }
  }
  EXPECT_EQ(damaged, 0U);
}

}  // namespace
}  // namespace allot
