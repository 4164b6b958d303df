// Pools and batches: blocks of one size with bins of their own, over both kinds of region.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/pool.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using test::refused;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kPoolsPerSession = 51;

class Pools : public test::Conformance {
 protected:
  BlockPool pool(const std::string& name, std::size_t block_bytes, std::size_t alignment = 16) {
    return BlockPool::open(session(), {name, block_bytes, alignment}).value();
  }
};
ALLOT_CONFORMANCE_SUITE(Pools);

std::uintptr_t number(const void* block) { return reinterpret_cast<std::uintptr_t>(block); }

TEST_P(Pools, BlocksOfAnySizeAreApartAndAligned) {
  for (const std::size_t block_bytes :
       {1U, 16U, 17U, 100U, 1000U, 1025U, 5000U, 40'000U, 65'536U}) {
    for (const std::size_t alignment : {1U, 64U, 4096U}) {
      BlockPool blocks = pool("p" + std::to_string(block_bytes) + "/" + std::to_string(alignment),
                              block_bytes, alignment);
      EXPECT_GE(blocks.block_bytes(), block_bytes);
      EXPECT_LT(blocks.block_bytes(), block_bytes + std::max<std::size_t>(alignment, 16));
      std::vector<void*> taken(100);
      for (std::size_t i = 0; i < taken.size(); ++i) {
        taken[i] = blocks.allocate();
        ASSERT_NE(taken[i], nullptr) << Session::last_error().message();
        EXPECT_EQ(number(taken[i]) % std::max<std::size_t>(alignment, 16), 0U);
        EXPECT_EQ(session().usable_size(taken[i]), blocks.block_bytes());
        std::memset(taken[i], static_cast<int>(i), blocks.block_bytes());
      }
      for (std::size_t i = 0; i < taken.size(); ++i) {
        const auto* const bytes = static_cast<const unsigned char*>(taken[i]);
        EXPECT_TRUE(std::all_of(bytes, bytes + blocks.block_bytes(),
                                [&](unsigned char byte) { return byte == i; }));
      }
      EXPECT_EQ(blocks.free_n(taken).count, taken.size());
    }
  }
}

TEST_P(Pools, NoPageIsSharedWithTheHeapOrAnotherPool) {
  BlockPool one = pool("one", 64);
  BlockPool other = pool("other", 64);
  std::set<std::uintptr_t> pages_of_one;
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(one.allocate());
    pages_of_one.insert(number(blocks.back()) / 4096);
    for (void* const stranger : {other.allocate(), session().allocate(64)}) {
      EXPECT_FALSE(pages_of_one.contains(number(stranger) / 4096));
      blocks.push_back(stranger);
    }
  }
  EXPECT_EQ(session().free_n(blocks).count, blocks.size());
}

TEST_P(Pools, ANameGivesTheSamePool) {
  BlockPool one = pool("jobs", 100);
  BlockPool again = pool("jobs", 112);
  EXPECT_EQ(one, again);
  EXPECT_NE(one, pool("jobs2", 112));
  EXPECT_EQ(again.free(one.allocate()), Errc::kOk);
  EXPECT_TRUE(refused(BlockPool::open(session(), {"jobs", 113}), Errc::kBadArgument));
}

TEST_P(Pools, BadOptionsAreRefused) {
  EXPECT_TRUE(refused(BlockPool::open(session(), {"", 64}), Errc::kBadName));
  EXPECT_TRUE(refused(BlockPool::open(session(), {"has space", 64}), Errc::kBadName));
  EXPECT_TRUE(refused(BlockPool::open(session(), {"sixteen-letters-", 64}), Errc::kBadName));
  EXPECT_TRUE(refused(BlockPool::open(session(), {"p", 0}), Errc::kSizeZero));
  EXPECT_TRUE(refused(BlockPool::open(session(), {"p", 65'537}), Errc::kSizeTooLarge));
  EXPECT_TRUE(refused(BlockPool::open(session(), {"p", ~std::size_t{0}}), Errc::kSizeTooLarge));
  for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{131'072}}) {
    EXPECT_TRUE(refused(BlockPool::open(session(), {"p", 64, alignment}), Errc::kBadAlignment));
  }
}

TEST_P(Pools, ASessionHasAFewDozen) {
  for (std::size_t i = 0; i < kPoolsPerSession; ++i) {
    BlockPool one = pool("p" + std::to_string(i), 16 * (i + 1));
    EXPECT_EQ(one.free(one.allocate()), Errc::kOk);
  }
  EXPECT_TRUE(refused(BlockPool::open(session(), {"more", 64}), Errc::kTooManyPools));
  EXPECT_EQ(pool("p3", 64).free(nullptr), Errc::kOk);
}

TEST_P(Pools, OnlyABlockOfThePoolIsFreed) {
  BlockPool one = pool("one", 64);
  BlockPool other = pool("other", 64);
  void* const block = one.allocate();
  void* const of_heap = session().allocate(64);
  EXPECT_EQ(other.free(block), Errc::kNotInPool);
  EXPECT_EQ(other.free(of_heap), Errc::kNotInPool);
  EXPECT_EQ(one.free(static_cast<std::byte*>(block) + 16), Errc::kInteriorPointer);
  int outside = 0;
  EXPECT_EQ(one.free(&outside), Errc::kNotInRegion);
  EXPECT_EQ(one.free(block), Errc::kOk);
  EXPECT_EQ(one.free(block), Errc::kDoubleFree);
  EXPECT_EQ(session().free(of_heap), Errc::kOk);
}

TEST_P(Pools, ABlockGoesToAnotherSessionAndIsFreedThere) {
  BlockPool mine = pool("mine", 96);
  Session& receiver = add_session();
  BlockPool theirs = BlockPool::open(receiver, {"theirs", 96}).value();
  BlockPool larger = BlockPool::open(receiver, {"larger", 112}).value();
  for (int i = 0; i < 500; ++i) {
    void* const block = mine.allocate();
    ASSERT_NE(block, nullptr);
    void* const adopted = receiver.adopt(session().offer(block).value()).value();
    EXPECT_EQ(larger.free(adopted), Errc::kNotInPool);
    EXPECT_EQ(i % 2 == 0 ? theirs.free(adopted) : receiver.free(adopted), Errc::kOk);
  }
  expect_live(0);
}

TEST_P(Pools, ThreadsShareAPool) {
  constexpr int kThreads = 4;
  BlockPool blocks = pool("shared", 48, kCacheLineBytes);
  std::array<std::vector<void*>, kThreads> made;
  std::vector<std::thread> threads;
  for (auto& mine : made) {
    threads.emplace_back([&] {
      mine.resize(3000);
      EXPECT_TRUE(blocks.allocate_n(mine));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::uintptr_t> lines;
  for (const auto& mine : made) {
    for (const void* const block : mine) lines.insert(number(block) / kCacheLineBytes);
  }
  EXPECT_EQ(lines.size(), 3000U * kThreads);
  for (const auto& mine : made) EXPECT_EQ(blocks.free_n(mine).count, mine.size());
  expect_live(0);
}

TEST_P(Pools, MakesObjects) {
  struct Job {
    std::uint64_t id;
    std::uint32_t weight;
    explicit Job(std::uint64_t job) : id(job), weight(7) {
      if (job == 13) throw std::runtime_error("no such job");
    }
  };
  auto jobs = Pool<Job>::open(session(), {.name = "jobs", .own_cache_lines = true}).value();
  EXPECT_EQ(jobs.blocks().block_bytes(), kCacheLineBytes);
  Job* const job = jobs.make(std::uint64_t{5});
  EXPECT_EQ(job->id, 5U);
  EXPECT_EQ(job->weight, 7U);
  EXPECT_THROW((void)jobs.make(std::uint64_t{13}), std::runtime_error);
  expect_live(1);
  EXPECT_EQ(jobs.free(job), Errc::kOk);
}

TEST_P(Pools, PoolsOfAClosedSessionRefuse) {
  Session& other = add_session();
  BlockPool blocks = BlockPool::open(other, {"p", 64}).value();
  EXPECT_NE(blocks.allocate(), nullptr);
  region().end(other);
  EXPECT_EQ(blocks.allocate(), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kClosed);
  EXPECT_TRUE(refused(BlockPool::open(other, {"q", 64}), Errc::kClosed));
}

// --- batches ---

TEST_P(Pools, ABatchThatHalfSucceedsKeepsWhatItGot) {
  open({.commit_limit_bytes = 2 * kMiB});
  for (const std::size_t size_bytes : {64UL, 5000UL, 40'000UL, 100'000UL}) {
    std::vector<void*> blocks(100'000, &blocks);
    const Batch got = session().allocate_n(size_bytes, blocks);
    EXPECT_FALSE(got);
    EXPECT_EQ(got.errc, Errc::kSessionQuota);
    EXPECT_EQ(Session::last_error().errc(), Errc::kSessionQuota);
    ASSERT_GT(got.count, 0U);
    ASSERT_LT(got.count, blocks.size());
    expect_live(got.count);
    for (std::size_t i = 0; i < blocks.size(); ++i) EXPECT_EQ(blocks[i] == nullptr, i >= got.count);
    // Empty places are ignored.
    EXPECT_EQ(session().free_n(blocks).count, blocks.size());
    expect_live(0);
  }
}

TEST_P(Pools, ABatchFreesAllButWhatIsRefused) {
  std::vector<void*> blocks(1000);
  ASSERT_TRUE(session().allocate_n(200, blocks));
  int outside = 0;
  void* const lost = blocks[10];
  blocks[10] = &outside;
  const std::vector<void*> twice(2, blocks[500]);
  const Batch freed = session().free_n(blocks);
  EXPECT_EQ(freed.count, blocks.size() - 1);
  EXPECT_EQ(freed.errc, Errc::kNotInRegion);
  EXPECT_EQ(session().free_n(twice).errc, Errc::kDoubleFree);
  expect_live(1);
  EXPECT_EQ(session().free(lost), Errc::kOk);
}

TEST_P(Pools, EmptyAndImpossibleBatches) {
  EXPECT_TRUE(session().allocate_n(64, {}));
  EXPECT_TRUE(session().free_n({}));
  std::array<void*, 3> blocks{};
  EXPECT_EQ(session().allocate_n(0, blocks).errc, Errc::kSizeZero);
  EXPECT_EQ(session().allocate_n(~std::size_t{0}, blocks).errc, Errc::kSizeTooLarge);
}

// What another thread's heap gave comes back to it whole.
TEST_P(Pools, BatchesOfAnotherThreadsBlocksAreUsedAgain) {
  std::vector<void*> blocks(20'000);
  std::set<void*> first_lot;
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(session().allocate_n(48, blocks));
    if (round == 0) first_lot.insert(blocks.begin(), blocks.end());
    std::thread([&] { EXPECT_TRUE(session().free_n(blocks)); }).join();
    expect_live(0);
  }
  ASSERT_TRUE(session().allocate_n(48, blocks));
  const auto again = std::count_if(blocks.begin(), blocks.end(),
                                   [&](void* block) { return first_lot.contains(block); });
  EXPECT_GT(again, 15'000);
  EXPECT_TRUE(session().free_n(blocks));
}

}  // namespace
}  // namespace allot
