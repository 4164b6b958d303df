// Debug modes: fill patterns, writes after a free, annotations; and that no right use is reported.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/pool.hpp>

#include "tests/support/debugged.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/sanitizer.hpp"
#include "tests/support/threads.hpp"

extern "C" {
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): the sanitizer's.
__attribute__((weak)) int __asan_address_is_poisoned(const volatile void* address);
}

namespace allot {
namespace {

using DebugFill = test::Debugged;
ALLOT_CONFORMANCE_SUITE(DebugFill);

constexpr std::size_t kLarge = std::size_t{300} << 10;

bool is_poisoned(const void* address) {
  return &__asan_address_is_poisoned != nullptr && __asan_address_is_poisoned(address) != 0;
}

bool is_full_of(const void* block, std::size_t bytes, unsigned char value) {
  const auto* const begin = static_cast<const unsigned char*>(block);
  return std::all_of(begin, begin + bytes, [&](unsigned char byte) { return byte == value; });
}

TEST_P(DebugFill, FreshAndFreedBlocksAreFull) {
  Session& debugged = add_session(filling());
  BlockPool pool = BlockPool::open(debugged, {"filled", 96}).value();
  std::vector<void*> blocks;
  for (const std::size_t size : {std::size_t{1}, std::size_t{700}, std::size_t{9000}, kLarge}) {
    blocks.push_back(debugged.allocate(size));
    blocks.push_back(debugged.allocate_aligned(size, 4096));
    blocks.resize(blocks.size() + 3);
    EXPECT_TRUE(debugged.allocate_n(size, std::span(blocks).last(3)));
  }
  blocks.push_back(pool.allocate());
  blocks.resize(blocks.size() + 100);
  EXPECT_TRUE(pool.allocate_n(std::span(blocks).last(100)));
  for (void* const block : blocks) {
    const std::size_t bytes = debugged.usable_size(block);
    EXPECT_TRUE(is_full_of(block, bytes, kFreshByte));
    std::memset(block, 0, bytes);
    EXPECT_EQ(debugged.free(block), Errc::kOk);
    EXPECT_TRUE(is_full_of(block, bytes, kFreedByte));
  }
}

TEST_P(DebugFill, AWriteAfterFreeIsReportedWithItsOffset) {
  DebugOptions options = filling();
  options.stacks = true;
  Session& debugged = add_session(options);
  BlockPool pool = BlockPool::open(debugged, {"written", 128}).value();
  const auto expect_report = [&](auto allocate) {
    auto* const block = static_cast<unsigned char*>(allocate());
    const std::size_t bytes = debugged.usable_size(block);
    for (const std::size_t offset : {std::size_t{0}, std::size_t{9}, bytes - 1}) {
      EXPECT_EQ(debugged.free(block), Errc::kOk);
      block[offset] = 'x';
      EXPECT_EQ(allocate(), block);
      const Misuse misuse = take_report(Misuse::Kind::kWrittenAfterFree, block);
      EXPECT_EQ(misuse.offset_bytes, offset);
      EXPECT_EQ(misuse.size_bytes, bytes);
      EXPECT_FALSE(misuse.allocated_at.empty());
      EXPECT_FALSE(misuse.freed_at.empty());
      EXPECT_TRUE(is_full_of(block, bytes, kFreshByte));
    }
    EXPECT_EQ(debugged.free(block), Errc::kOk);
    EXPECT_EQ(allocate(), block);
    EXPECT_EQ(debugged.free(block), Errc::kOk);
  };
  for (const std::size_t size : {std::size_t{16}, std::size_t{5000}, kLarge}) {
    expect_report([&] { return debugged.allocate(size); });
  }
  expect_report([&] { return pool.allocate(); });
}

TEST_P(DebugFill, AWriteIsFoundAcrossThreads) {
  Session& debugged = add_session(all_modes());
  auto* const block = static_cast<unsigned char*>(debugged.allocate(2000));
  std::thread([&] { EXPECT_EQ(debugged.free(block), Errc::kOk); }).join();
  if (!test::kAddressSanitizer) block[5] = 'x';
  // The span is this thread's: its collect finds the block in time.
  std::vector<void*> blocks;
  do {
    blocks.push_back(debugged.allocate(2000));
  } while (blocks.back() != block && blocks.size() < 10'000);
  EXPECT_EQ(blocks.back(), block);
  if (!test::kAddressSanitizer) {
    EXPECT_EQ(take_report(Misuse::Kind::kWrittenAfterFree, block).offset_bytes, 5U);
  }
  EXPECT_EQ(debugged.free_n(blocks).count, blocks.size());
}

TEST_P(DebugFill, WhatOthersDoWithAGivenBlockIsTheirs) {
  Session& debugged = add_session(all_modes());
  for (const std::size_t size : {std::size_t{64}, std::size_t{5000}, kLarge}) {
    for (int round = 0; round < 50; ++round) {
      // A free block of ours was full of kFreedByte once.
      EXPECT_EQ(debugged.free(debugged.allocate(size)), Errc::kOk);
      void* const block = debugged.allocate(size);
      void* const there = session().adopt(debugged.offer(block).value()).value();
      std::memset(there, round, size);
      if (round % 2 == 0) {
        EXPECT_EQ(session().free(there), Errc::kOk);
        continue;
      }
      void* const back = debugged.adopt(session().offer(there).value()).value();
      EXPECT_TRUE(is_full_of(back, size, static_cast<unsigned char>(round)));
      EXPECT_EQ(debugged.free(back), Errc::kOk);
    }
  }
  // And blocks of theirs, which we free and they use again while we look at them by handle.
  for (int round = 0; round < 50; ++round) {
    void* const theirs = session().allocate(64);
    void* const here = debugged.adopt(session().offer(theirs).value()).value();
    EXPECT_EQ(debugged.free(here), Errc::kOk);
    std::vector<void*> blocks(600);
    EXPECT_TRUE(session().allocate_n(64, blocks));
    for (void* const block : blocks) {
      std::memset(block, 3, 64);
      const auto seen = debugged.resolve(session().handle_of(block).value());
      EXPECT_TRUE(is_full_of(seen.value(), 64, 3));
    }
    EXPECT_EQ(session().free_n(blocks).count, blocks.size());
  }
}

TEST_P(DebugFill, AnOfferedBlockIsFreedOrAdoptedAndNotBoth) {
  Session& debugged = add_session(all_modes());
  void* block = nullptr;
  void* adopted = nullptr;
  Handle handle;
  test::expect_one_winner(test::kThreadSanitizer || test::kAddressSanitizer ? 50 : 300, 2,
                          {[&] {
                             adopted = nullptr;
                             block = debugged.allocate(4000);
                             std::memset(block, 7, 4000);
                             handle = debugged.offer(block).value();
                           },
                           [&](std::size_t i) {
                             if (i == 0) return debugged.free(block) == Errc::kOk;
                             const auto taken = session().adopt(handle);
                             adopted = taken ? *taken : nullptr;
                             return adopted != nullptr;
                           },
                           [&] {
                             if (adopted == nullptr) return;
                             EXPECT_TRUE(is_full_of(adopted, 4000, 7))
                                 << "filled though it was adopted";
                             EXPECT_EQ(session().free(adopted), Errc::kOk);
                           }});
  for (const Misuse& misuse : take_reports()) {
    EXPECT_EQ(misuse.kind, Misuse::Kind::kForeignFree) << describe(misuse);
  }
}

// Spans go back and come again for something else, where blocks were known to be free and full.
TEST_P(DebugFill, NothingIsKnownOfASpanThatWentBack) {
  Session& debugged = add_session(all_modes());
  for (int round = 0; round < 4; ++round) {
    for (const std::size_t size : {std::size_t{64}, std::size_t{60'000}, kLarge}) {
      std::vector<void*> blocks(50);
      EXPECT_TRUE(debugged.allocate_n(size, blocks));
      EXPECT_EQ(debugged.free_n(blocks).count, blocks.size());
      EXPECT_GT(debugged.trim(), 0U);
      // The same granules, in the hands of another: what lies there is read by handle.
      EXPECT_TRUE(session().allocate_n(size, blocks));
      for (void* const block : blocks) {
        std::memset(block, 5, size);
        void* const here = debugged.resolve(session().handle_of(block).value()).value();
        EXPECT_TRUE(is_full_of(here, size, 5));
      }
      EXPECT_EQ(session().free_n(blocks).count, blocks.size());
      EXPECT_GT(session().trim(), 0U);
    }
    // Or as the memory of an arena, which is neither allocated nor freed as a block.
    ArenaOptions options;
    options.source = debugged;
    options.checks = ArenaChecks::kOff;
    Arena arena = Arena::reserve(std::size_t{4} << 20, options);
    void* const pushed = arena.push(std::size_t{2} << 20);
    ASSERT_NE(pushed, nullptr);
    EXPECT_TRUE(is_full_of(pushed, std::size_t{2} << 20, 0));
    std::memset(pushed, 1, std::size_t{2} << 20);
  }
}

TEST_P(DebugFill, NothingIsSaidOfRightUse) {
  const auto seeds = test::seeds(4);
  Session& one = add_session(all_modes());
  Session& other = add_session(all_modes());
  BlockPool pool = BlockPool::open(one, {"random", 200}).value();
  for (std::uint64_t seed = seeds.first; seed < seeds.first + seeds.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::run_threads(3, [&](std::size_t thread) {
      test::Random random(seed * 10 + thread);
      test::HeapOracle mine(one);
      test::HeapOracle theirs(other);
      std::vector<void*> pooled;
      for (int step = 0; step < 60; ++step) {
        test::run_random_operations(mine, random, 30, 60);
        test::run_random_operations(theirs, random, 10, 20);
        while (mine.size() > 40) {
          const auto given = mine.take(0);
          void* const block = other.adopt(one.offer(given.address).value()).value();
          theirs.put({block, given.size_bytes, given.seed});
        }
        while (theirs.size() > 30) theirs.free(random.below(theirs.size()));
        pooled.resize(random.below(50U));
        EXPECT_TRUE(pool.allocate_n(pooled)) << Session::last_error().message();
        for (void* const block : pooled) std::memset(block, step, pool.block_bytes());
        EXPECT_EQ(pool.free_n(pooled).count, pooled.size());
        if (thread == 0 && step % 20 == 19) (void)one.trim();
        if (thread == 1 && step % 20 == 10) {
          EXPECT_TRUE(one.heap_profile());
        }
      }
      mine.free_all();
      theirs.free_all();
    });
    expect_live(0);
  }
}

TEST_P(DebugFill, AForkedChildIsNotHeldUp) {
  Session& debugged = add_session(all_modes());
  void* const block = debugged.allocate(64);
  bool stop = false;
  std::mutex mutex;
  std::thread other([&] {
    for (;;) {
      EXPECT_EQ(debugged.free(debugged.allocate(1000)), Errc::kOk);
      const std::lock_guard lock(mutex);
      if (stop) return;
    }
  });
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(test::run_in_child([&] {
                if (debugged.allocate(64) != nullptr) return 1;
                if (debugged.free(block) != Errc::kForked) return 2;
                if (debugged.heap_profile().error() != Errc::kForked) return 3;
                debugged = Session(debugged);
                return 0;
              }),
              test::exited(0));
  }
  {
    const std::lock_guard lock(mutex);
    stop = true;
  }
  other.join();
  EXPECT_EQ(debugged.free(block), Errc::kOk);
}

TEST_P(DebugFill, TheSanitizerKnowsFreeBlocks) {
  if (!test::kAddressSanitizer) GTEST_SKIP() << "not built with AddressSanitizer";
  std::byte* at = nullptr;
  {
    Session& debugged = add_session(all_modes());
    for (const std::size_t size : {std::size_t{64}, kLarge}) {
      at = static_cast<std::byte*>(debugged.allocate(size));
      EXPECT_FALSE(is_poisoned(at));
      EXPECT_EQ(debugged.free(at), Errc::kOk);
      EXPECT_TRUE(is_poisoned(at));
      EXPECT_TRUE(is_poisoned(at + size - 1));
      EXPECT_EQ(debugged.allocate(size), at);
      EXPECT_FALSE(is_poisoned(at + size - 1));
      EXPECT_EQ(debugged.free(at), Errc::kOk);
    }
    end_session(debugged);
  }
  EXPECT_FALSE(is_poisoned(at)) << "poison outlives a mapping";
}

}  // namespace
}  // namespace allot
