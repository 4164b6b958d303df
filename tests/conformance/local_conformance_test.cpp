// What holds for the heaps of a region holds for the process's private heap: with many threads,
// which free each other's blocks and end.

#include <allot/local.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/fast.hpp>
#include <allot/pool.hpp>

#include "client/local_service.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::HeapOracle;
using test::Random;
using test::run_threads;

constexpr std::size_t kThreads = 4;

class LocalThreads : public testing::Test {
 protected:
  void SetUp() override {
    (void)local();
    before_ = local_service()->audit().total.live_blocks;
  }
  void TearDown() override {
    (void)local().trim();
    const region::AuditReport report = local_service()->audit();
    EXPECT_EQ(report.violation_count, 0U);
    EXPECT_EQ(report.total.live_blocks, before_);
  }

 private:
  std::uint64_t before_ = 0;
};

TEST_F(LocalThreads, KeepTheirBlocksAndAnotherFreesThem) {
  const auto range = test::seeds(3);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    std::vector<HeapOracle> oracles(kThreads, HeapOracle(local()));
    run_threads(kThreads, [&](std::size_t i) {
      Random random(seed * 100 + i);
      test::run_random_operations(oracles[i], random, 3000, 200);
      if (i == 0) (void)local().trim();
    });
    run_threads(kThreads, [&](std::size_t i) { oracles[(i + 1) % kThreads].free_all(); });
  }
}

TEST_F(LocalThreads, ShareOneBlockAtATime) {
  // Each slot is swapped by whoever comes: blocks go round among all threads at once.
  std::array<detail::Atomic<std::uintptr_t>, 64> slots{};
  const auto swap = [&](std::size_t slot, void* block) {
    std::uintptr_t other = slots.at(slot).load_acquire();
    while (
        !slots.at(slot).compare_exchange_acq_rel(other, reinterpret_cast<std::uintptr_t>(block))) {
    }
    auto* const taken =
        reinterpret_cast<std::uint64_t*>(other);  // NOLINT(performance-no-int-to-ptr)
    if (taken == nullptr) return;
    EXPECT_EQ(*taken, 42U);
    EXPECT_EQ(fast::free(local(), taken), Errc::kOk);
  };
  run_threads(kThreads, [&](std::size_t i) {
    Random random(i);
    for (int round = 0; round < 5000; ++round) {
      auto* const block =
          static_cast<std::uint64_t*>(fast::allocate(local(), 16 + random.below(3000U)));
      ASSERT_NE(block, nullptr);
      *block = 42;
      swap(random.below(slots.size()), block);
    }
  });
  for (std::size_t slot = 0; slot < slots.size(); ++slot) swap(slot, nullptr);
}

TEST_F(LocalThreads, MakeItTogetherAndEndInAnyOrder) {
  for (int round = 0; round < 10; ++round) {
    std::array<void*, kThreads> blocks{};
    run_threads(kThreads, [&](std::size_t i) {
      auto pool = BlockPool::open(local(), {"threads", 80, 16}).value();
      blocks.at(i) = pool.allocate();
      ASSERT_NE(blocks.at(i), nullptr);
    });
    for (void* const block : blocks) EXPECT_EQ(local().free(block), Errc::kOk);
  }
}

}  // namespace
}  // namespace allot
