// fork(): the private heap is copied, and parent and child go on like two programs.

#include <allot/local.hpp>

#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/pool.hpp>

#include "client/local_service.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/sanitizer.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::exited;
using test::HeapOracle;
using test::run_in_child;
using test::run_threads;

constexpr std::size_t kMiB = std::size_t{1} << 20;

bool is_in_order(std::uint64_t lost_heaps = 0) {
  return local_service()->audit(lost_heaps).violation_count == 0;
}

void write_text(void* to, std::string_view text) {
  std::memcpy(to, text.data(), text.size());
  static_cast<char*>(to)[text.size()] = '\0';
}

std::uint64_t granted_bytes() { return local_service()->audit(100).total.granted_bytes; }

TEST(LocalFork, BothGoOnWithCopies) {
  auto* const text = static_cast<char*>(local().allocate(100));
  auto* const large = static_cast<char*>(local().allocate(kMiB));
  write_text(text, "before");
  std::memset(large, 1, kMiB);
  EXPECT_EQ(run_in_child([&] {
              if (std::strcmp(text, "before") != 0 || large[kMiB - 1] != 1) return 1;
              write_text(text, "child");
              std::memset(large, 2, kMiB);
              if (local().free(text) != Errc::kOk || local().free(large) != Errc::kOk) return 2;
              (void)local().trim();
              HeapOracle oracle(local());
              test::Random random(1);
              test::run_random_operations(oracle, random, 2000, 100);
              oracle.free_all();
              return is_in_order() ? 0 : 3;
            }),
            exited(0));
  EXPECT_STREQ(text, "before");
  EXPECT_EQ(large[kMiB - 1], 1);
  EXPECT_EQ(local().free(text), Errc::kOk);
  EXPECT_EQ(local().free(large), Errc::kOk);
  EXPECT_TRUE(is_in_order());
}

TEST(LocalFork, AChildOfAChildAndItsThreadsGoOn) {
  void* const block = local().allocate(1000);
  test::fill_block(block, 1000, 7);
  const auto work = [&] {
    run_threads(3, [](std::size_t i) {
      HeapOracle oracle(local());
      test::Random random(i + 1);
      test::run_random_operations(oracle, random, 1000, 50);
      oracle.free_all();
    });
    return test::holds_pattern(block, 1000, 7) && is_in_order(100);
  };
  EXPECT_EQ(run_in_child([&] {
              if (!work()) return 1;
              return run_in_child([&] { return work() ? 0 : 2; }).exit_status;
            }),
            exited(0));
  EXPECT_TRUE(work());
  EXPECT_EQ(local().free(block), Errc::kOk);
}

// A thread that has a heap and waits while others fork.
class WaitingThread {
 public:
  explicit WaitingThread(void (*first)())
      : thread_([this, first] {
          first();
          std::unique_lock lock(mutex_);
          is_ready_ = true;
          changed_.notify_all();
          changed_.wait(lock, [&] { return may_end_; });
        }) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return is_ready_; });
  }
  WaitingThread(const WaitingThread&) = delete;
  WaitingThread& operator=(const WaitingThread&) = delete;
  ~WaitingThread() {
    {
      const std::lock_guard lock(mutex_);
      may_end_ = true;
      changed_.notify_all();
    }
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_ready_ = false;
  bool may_end_ = false;
  std::thread thread_;
};

TEST(LocalFork, WhatLostThreadsHeldFreeServesTheChild) {
  if (test::kThreadSanitizer) GTEST_SKIP() << "it does not let a child have threads";
  constexpr std::size_t kBlocks = 2000;  // so few that none of their spans go back
  const auto use = [] {
    std::vector<void*> blocks(kBlocks);
    (void)local().allocate_n(208, blocks);
    (void)local().free_n(blocks);
    auto pool = BlockPool::open(local(), {"lost", 336, 16}).value();
    (void)pool.allocate_n(blocks);
    (void)pool.free_n(blocks);
  };
  const WaitingThread thread(use);
  EXPECT_EQ(run_in_child([&] {
              const std::uint64_t before = granted_bytes();
              std::thread(use).join();
              if (granted_bytes() > before) return 1;
              return is_in_order(1) ? 0 : 2;
            }),
            exited(0));
}

TEST(LocalFork, BlocksOfLostThreadsCanBeFreedAndUsedAgain) {
  if (test::kThreadSanitizer) GTEST_SKIP() << "it does not let a child have threads";
  static std::vector<void*> blocks(10'000);
  const WaitingThread thread([] { (void)local().allocate_n(176, blocks); });
  EXPECT_EQ(run_in_child([&] {
              const std::uint64_t before = granted_bytes();
              if (!local().free_n(blocks)) return 1;
              std::vector<void*> again(blocks.size());
              if (!local().allocate_n(176, again)) return 2;
              if (!local().free_n(again)) return 3;
              // Twice as much if nobody knew of what was freed, but for a reserve.
              return granted_bytes() <= before + kMiB ? 0 : 4;
            }),
            exited(0));
  EXPECT_TRUE(local().free_n(blocks));
}

TEST(LocalFork, ArenasOnItGoOn) {
  ArenaOptions options;
  options.source = local();
  Arena arena = Arena::reserve(64 * kMiB, options);
  ASSERT_TRUE(arena);
  auto* const text = static_cast<char*>(arena.push(100));
  write_text(text, "before");
  EXPECT_EQ(run_in_child([&] {
              write_text(arena.push(kMiB), "child");
              if (std::strcmp(text, "before") != 0) return 1;
              write_text(text, "child");
              return 0;
            }),
            exited(0));
  EXPECT_STREQ(text, "before");
  EXPECT_NE(arena.push(kMiB), nullptr);
}

// Threads that do all they can while the first one forks.
void work_until(const std::atomic<bool>& is_over, std::uint64_t seed) {
  test::Random random(seed);
  auto pool = BlockPool::open(local(), {"busy", 96, 16}).value();
  while (!is_over.load()) {
    HeapOracle oracle(local());
    test::run_random_operations(oracle, random, 300, 60);
    oracle.free_all();
    std::array<void*, 200> blocks{};
    (void)pool.allocate_n(blocks);
    (void)pool.free_n(blocks);
    if (random.percent(20)) (void)local().trim();
    // Heaps are parked and taken up again.
    if (random.percent(20)) std::thread([] { (void)local().free(local().allocate(500)); }).join();
  }
}

TEST(LocalFork, ChildrenOfABusyProcessGoOn) {
  if (test::kAddressSanitizer) GTEST_SKIP() << "its allocator does not survive a fork of threads";
  if (test::kThreadSanitizer) GTEST_SKIP() << "it does not let a child have threads";
  constexpr std::size_t kThreads = 4;
  constexpr int kForks = 60;
  std::atomic<bool> is_over = false;
  HeapOracle own(local());
  for (int i = 0; i < 200; ++i) (void)own.allocate(300);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&is_over, i] { work_until(is_over, i + 1); });
  }
  for (int i = 0; i < kForks && !testing::Test::HasFailure(); ++i) {
    EXPECT_EQ(run_in_child([&] {
                const auto work = [](std::size_t seed) {
                  HeapOracle oracle(local());
                  test::Random random(seed + 100);
                  test::run_random_operations(oracle, random, 500, 60);
                  oracle.free_all();
                };
                work(0);
                run_threads(2, work);
                own.check();
                own.free_all();
                (void)local().trim();
                if (testing::Test::HasFailure()) return 1;
                return is_in_order(4 * kThreads) ? 0 : 2;
              }),
              exited(0))
        << "fork " << i;
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  own.free_all();
  EXPECT_TRUE(is_in_order());
}

// Each child makes its own heap while one of its threads forks.
TEST(LocalFork, AForkDuringTheFirstUseWaits) {
  if (local_service() != nullptr) GTEST_SKIP() << "it was made before";
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(run_in_child([] {
                std::thread first([] { (void)local().free(local().allocate(100)); });
                const test::Ending ending = run_in_child([] {
                  void* const block = local().allocate(100);
                  return block != nullptr && local().free(block) == Errc::kOk ? 0 : 1;
                });
                first.join();
                return ending.exit_status;
              }),
              exited(0));
  }
}

}  // namespace
}  // namespace allot
