// What allocate() and free() promise, whoever serves the region.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include <allot/fast.hpp>
#include <allot/session.hpp>

#include "shared/region/size_class.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

using test::HeapOracle;
using test::Random;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class Heap : public test::Conformance {};
ALLOT_CONFORMANCE_SUITE(Heap);

TEST_P(Heap, ServesEachClassToItsLastByte) {
  HeapOracle oracle(session());
  std::size_t smallest = 1;
  for (const region::SizeClass& size_class : region::kSizeClasses) {
    for (const std::size_t size : {smallest, std::size_t{size_class.block_bytes}}) {
      const void* const block = oracle.allocate(size);
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(session().usable_size(block), size_class.block_bytes) << size;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % region::natural_alignment(size_class), 0U)
          << "blocks of " << size_class.block_bytes;
    }
    smallest = size_class.block_bytes + 1;
  }
  expect_live(oracle.size());
  oracle.check();
  oracle.free_all();
}

TEST_P(Heap, BlocksOfOneSizeFillManySpans) {
  HeapOracle oracle(session());
  for (const std::size_t size : {16U, 48U, 1024U, 1152U, 32'768U, 65'536U}) {
    for (int i = 0; i < 600; ++i) (void)oracle.allocate(size);
  }
  oracle.check();
  oracle.free_all();
}

TEST_P(Heap, ReallocateKeepsContentsAndMovesOnlyWhereItMust) {
  auto* block = static_cast<unsigned char*>(session().reallocate(nullptr, 1));
  std::size_t size = 1;
  block[0] = 1;
  const auto value = [](std::size_t i) { return static_cast<unsigned char>(i * 7 + 1); };
  for (const std::size_t wanted : {16UL, 17UL, 100UL, 1000UL, 1025UL, 70'000UL, 3 * kMiB, 65'536UL,
                                   40'000UL, 1024UL, 600UL, 16UL, 1UL}) {
    const std::size_t room = session().usable_size(block);
    auto* const moved = static_cast<unsigned char*>(session().reallocate(block, wanted));
    ASSERT_NE(moved, nullptr);
    EXPECT_EQ(moved == block, wanted <= room && (wanted > room / 2 || room == 16)) << wanted;
    EXPECT_GE(session().usable_size(moved), wanted);
    for (std::size_t i = 0; i < std::min(size, wanted); ++i) ASSERT_EQ(moved[i], value(i)) << i;
    for (std::size_t i = 0; i < wanted; ++i) moved[i] = value(i);
    block = moved;
    size = wanted;
    expect_live(1);
  }
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Heap, ReallocateRefusesWhatItCannotDoAndChangesNothing) {
  open({.commit_limit_bytes = 4 * kMiB});
  void* const block = session().allocate(100);
  std::memset(block, 5, 100);
  const auto refused_as = [&](void* what, std::size_t size_bytes, Errc errc) {
    EXPECT_EQ(session().reallocate(what, size_bytes), nullptr);
    EXPECT_EQ(Session::last_error().errc(), errc) << Session::last_error().message();
  };
  refused_as(block, 0, Errc::kSizeZero);
  refused_as(block, 8 * kMiB, Errc::kSizeTooLarge);
  void* const filler = session().allocate(3 * kMiB);
  refused_as(block, 2 * kMiB, Errc::kSessionQuota);
  refused_as(static_cast<std::byte*>(block) + 16, 200, Errc::kInteriorPointer);
  ASSERT_TRUE(session().offer(block));
  refused_as(block, 1000, Errc::kBadArgument);
  EXPECT_EQ(session().reallocate(block, 99), block) << "where it stays";
  const std::vector<unsigned char> fives(100, 5);
  EXPECT_EQ(std::memcmp(block, fives.data(), 99), 0);
  EXPECT_EQ(session().free(block), Errc::kOk);
  refused_as(block, 1000, Errc::kDoubleFree);
  EXPECT_EQ(session().free(filler), Errc::kOk);
}

TEST_P(Heap, GivesBackWhatItHasTooMuchOfByItself) {
  std::vector<void*> blocks(400'000);
  ASSERT_TRUE(session().allocate_n(64, blocks));
  const std::uint64_t most = region().audit().granted_bytes;
  EXPECT_TRUE(session().free_n(blocks));
  EXPECT_LT(region().audit().granted_bytes, most / 2);
}

TEST_P(Heap, GivesBackWhenTheServiceIsShort) {
  open({.commit_limit_bytes = 64 * kMiB});
  Session& other = add_session();
  std::vector<void*> blocks(60);
  ASSERT_TRUE(other.allocate_n(kMiB, blocks));
  EXPECT_TRUE(other.free_n(blocks));
  // What the other one keeps for itself it gives back at its next slow call.
  void* large = session().allocate(20 * kMiB);
  EXPECT_EQ(large, nullptr);
  EXPECT_EQ(other.free(other.allocate(3 * kMiB)), Errc::kOk);
  large = session().allocate(20 * kMiB);
  EXPECT_NE(large, nullptr) << Session::last_error().message();
  EXPECT_EQ(session().free(large), Errc::kOk);
}

TEST_P(Heap, RandomOperationsAgreeWithTheOracle) {
  const auto range = test::seeds(10);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    Random random(seed);
    HeapOracle oracle(session());
    test::run_random_operations(oracle, random, 10'000, 500);
    oracle.check();
    expect_live(oracle.size());
    oracle.free_all();
  }
}

TEST_P(Heap, ServesEveryAlignmentTo2MiB) {
  HeapOracle oracle(session());
  for (std::size_t alignment = 1; alignment <= 2 * kMiB; alignment *= 2) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{17}, std::size_t{1000},
                                   std::size_t{5000}, std::size_t{32'769}, kMiB}) {
      ASSERT_NE(oracle.allocate(size, alignment), nullptr) << size << " at " << alignment;
    }
  }
  oracle.check();
  expect_live(oracle.size());
  oracle.free_all();
}

TEST_P(Heap, LargeBlocksAreWholePages) {
  HeapOracle oracle(session());
  for (const std::size_t size :
       {std::size_t{65'537}, std::size_t{131'072}, std::size_t{131'073}, kMiB, 100 * kMiB}) {
    const void* const block = oracle.allocate(size);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 65'536, 0U);
    EXPECT_LT(session().usable_size(block), size + 65'536);
  }
  expect_live(5);
  oracle.free_all();
}

TEST_P(Heap, AFreedBlockGoesOutAgainBeforeMoreIsGranted) {
  const auto granted_by = [&](std::size_t size, std::size_t count) {
    std::vector<void*> blocks;
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(session().allocate(size));
    for (void* const block : blocks) EXPECT_EQ(session().free(block), Errc::kOk);
    return region().audit().granted_bytes;
  };
  for (const auto& [size, count] :
       {std::pair<std::size_t, std::size_t>{100, 5000}, {2000, 500}, {kMiB, 20}}) {
    const std::uint64_t first = granted_by(size, count);
    for (int round = 0; round < 20; ++round) EXPECT_EQ(granted_by(size, count), first) << size;
  }
}

TEST_P(Heap, FreedBlocksGoOutAgainFirst) {
  std::vector<void*> blocks(3);
  for (void*& block : blocks) block = session().allocate(64);
  EXPECT_EQ(session().free(blocks[1]), Errc::kOk);
  EXPECT_EQ(session().allocate(64), blocks[1]);
  for (void* const block : blocks) EXPECT_EQ(session().free(block), Errc::kOk);
  const std::set<void*> freed(blocks.begin(), blocks.end());
  std::set<void*> again;
  for (std::size_t i = 0; i < blocks.size(); ++i) again.insert(session().allocate(64));
  EXPECT_EQ(again, freed);
  for (void* const block : blocks) EXPECT_EQ(session().free(block), Errc::kOk);
}

// Far more than the private stack holds, so that blocks leave it and are found again by a scan.
TEST_P(Heap, BlocksThatLeaveThePrivateStackAreFoundAgain) {
  constexpr std::size_t kCount = 40'000;
  std::vector<void*> blocks(kCount);
  for (void*& block : blocks) block = session().allocate(16);
  expect_live(kCount);
  const std::uint64_t granted = region().audit().granted_bytes;
  for (int round = 0; round < 3; ++round) {
    for (void* const block : blocks) ASSERT_EQ(session().free(block), Errc::kOk);
    expect_live(0);
    for (void*& block : blocks) block = session().allocate(16);
    ASSERT_EQ(std::count(blocks.begin(), blocks.end(), nullptr), 0);
    std::sort(blocks.begin(), blocks.end());
    ASSERT_EQ(std::adjacent_find(blocks.begin(), blocks.end()), blocks.end());
  }
  EXPECT_EQ(region().audit().granted_bytes, granted) << "free blocks were forgotten";
  for (void* const block : blocks) ASSERT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Heap, TheInlinePathIsTheSameHeap) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{100}, std::size_t{4000},
                                 std::size_t{65'536}, std::size_t{80'000}}) {
    void* const block = fast::allocate(session(), size);
    ASSERT_NE(block, nullptr);
    EXPECT_GE(session().usable_size(block), size);
    EXPECT_EQ(session().free(block), Errc::kOk);
    void* const again = session().allocate(size);
    EXPECT_EQ(fast::free(session(), again), Errc::kOk);
    EXPECT_EQ(fast::free(session(), again), Errc::kDoubleFree);
  }
  EXPECT_EQ(fast::allocate(session(), 0), nullptr);
  EXPECT_EQ(fast::free(session(), nullptr), Errc::kOk);
}

TEST_P(Heap, TrimGivesBackAllThatIsFree) {
  HeapOracle oracle(session());
  Random random(1);
  test::run_random_operations(oracle, random, 2000, 300);
  oracle.free_all();
  const std::uint64_t granted = region().audit().granted_bytes;
  EXPECT_GT(granted, 0U);
  EXPECT_EQ(session().trim(), granted);
  EXPECT_EQ(region().audit().granted_bytes, 0U);
  EXPECT_EQ(session().trim(), 0U);
  EXPECT_EQ(session().free(session().allocate(10)), Errc::kOk) << "and it goes on";
}

TEST_P(Heap, TrimKeepsWhatIsInUse) {
  HeapOracle oracle(session());
  for (int i = 0; i < 3000; ++i) (void)oracle.allocate(64);
  (void)oracle.allocate(3 * kMiB);
  for (std::size_t i = 0; i < 2900; ++i) oracle.free(i % oracle.size());
  (void)session().trim();
  oracle.check();
  expect_live(oracle.size());
  for (int i = 0; i < 3000; ++i) (void)oracle.allocate(64);
  oracle.check();
  oracle.free_all();
  (void)session().trim();
  EXPECT_EQ(region().audit().granted_bytes, 0U);
}

TEST_P(Heap, TrimOfMemoryFreedElsewhereReturnsIt) {
  Session& other = add_session();
  std::vector<Handle> handles;
  for (const std::size_t size : {std::size_t{100}, std::size_t{3000}, kMiB}) {
    for (int i = 0; i < 50; ++i) {
      handles.push_back(session().offer(session().allocate(size)).value());
    }
  }
  for (const Handle handle : handles) {
    EXPECT_EQ(other.free(other.adopt(handle).value()), Errc::kOk);
  }
  expect_live(0);
  EXPECT_GT(session().trim(), 50 * kMiB - 1);
  EXPECT_EQ(region().audit().granted_bytes, 0U);
}

TEST_P(Heap, MemoryFreedElsewhereIsAllocatedAgain) {
  Session& other = add_session();
  std::uint64_t after_first = 0;
  for (int round = 0; round < 10; ++round) {
    for (const std::size_t size : {std::size_t{64}, std::size_t{2000}, kMiB}) {
      std::vector<Handle> handles;
      for (int i = 0; i < 64; ++i) {
        handles.push_back(session().offer(session().allocate(size)).value());
      }
      for (const Handle handle : handles) {
        ASSERT_EQ(other.free(other.adopt(handle).value()), Errc::kOk);
      }
    }
    if (round == 0) after_first = region().audit().granted_bytes;
  }
  EXPECT_EQ(region().audit().granted_bytes, after_first);
}

TEST_P(Heap, UsableSizeOfWhatIsNoBlockIsZero) {
  int local = 0;
  auto* const block = static_cast<std::byte*>(session().allocate(100));
  EXPECT_EQ(session().usable_size(nullptr), 0U);
  EXPECT_EQ(session().usable_size(&local), 0U);
  EXPECT_EQ(session().usable_size(block + 16), 0U);
  EXPECT_EQ(session().free(block), Errc::kOk);
}

}  // namespace
}  // namespace allot
