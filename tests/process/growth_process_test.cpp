// How a session grows: by few messages, asked for ahead of need, and by little more than it needs.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/control_client.hpp"
#include "tests/support/daemon_with_deadline.hpp"

namespace allot {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

class Growth : public test::DaemonWithDeadline {
 protected:
  [[nodiscard]] std::uint64_t grants() {
    return test::stats_of_region(daemon().control_socket()).grants;
  }
  /// Waits until so much is granted and not in use; returns how much is. Nobody calls the session
  /// meanwhile: what comes was asked for before.
  [[nodiscard]] std::uint64_t await_reserve(std::uint64_t bytes) const {
    const auto begun = Clock::now();
    for (;;) {
      const test::RegionCheck sums = check();
      const std::uint64_t reserve = sums.granted_bytes - sums.live_bytes;
      if (reserve >= bytes) return reserve;
      if (Clock::now() - begun > test::kPatience) {
        ADD_FAILURE() << reserve << " bytes in reserve";
        return reserve;
      }
    }
  }
};

std::vector<void*> fill(Session& session, std::size_t size_bytes, std::size_t total_bytes) {
  std::vector<void*> blocks(total_bytes / size_bytes);
  EXPECT_TRUE(session.allocate_n(size_bytes, blocks)) << Session::last_error().message();
  return blocks;
}

TEST_F(Growth, TakesFewMessagesAndLittleMoreThanItNeeds) {
  for (const std::size_t size_bytes : {16UL, 64UL, 1024UL, 4096UL, 65'536UL}) {
    Session session = connect(test::kPatience);
    const std::uint64_t before = grants();
    const auto blocks = fill(session, size_bytes, 256 * kMiB);
    EXPECT_LE(grants() - before, 56U) << size_bytes;
    EXPECT_TRUE(session.free_n(blocks));
    (void)session.trim();
    (void)fill(session, size_bytes, 64 * kMiB);
    EXPECT_LE(check().granted_bytes, 96 * kMiB) << size_bytes;
    session.close();
  }
}

TEST_F(Growth, IsAskedForAheadOfNeed) {
  Session session = connect(test::kPatience);
  (void)fill(session, 4096, 64 * kMiB);
  for (int step = 0; step < 64; ++step) {
    (void)fill(session, 4096, kMiB / 8);
    ASSERT_GE(await_reserve(kMiB / 4), kMiB / 4) << step;
  }
}

TEST_F(Growth, OfASessionThatGrowsNoMoreTheReserveGoesBack) {
  Session session = connect(test::kPatience);
  (void)fill(session, 4096, 64 * kMiB);
  ASSERT_GE(await_reserve(4 * kMiB), 4 * kMiB);
  // What is asked for after so long is not worth a reserve.
  const auto begun = Clock::now();
  while (Clock::now() - begun < std::chrono::milliseconds(300)) (void)check();
  const auto reserve = [&] {
    const test::RegionCheck sums = check();
    return sums.granted_bytes - sums.live_bytes;
  };
  // The first size that this thread has no span of.
  (void)fill(session, 64, 64);
  while (reserve() > kMiB) ASSERT_LT(Clock::now() - begun, test::kPatience) << reserve();
}

TEST_F(Growth, IsAwaitedWhateverElseIsAnsweredBefore) {
  Session session = connect(test::kPatience);
  const auto others = fill(session, 1024, 64 * kMiB);
  (void)fill(session, 4096, 64 * kMiB);
  std::atomic<std::size_t> wanted = 1;
  std::atomic<std::size_t> allocated = 0;
  const auto await_blocks = [&](std::size_t count) {
    while (allocated < count) std::this_thread::yield();
  };
  std::thread needy([&] {
    while (allocated < wanted) {
      if (session.allocate(4096) == nullptr) {
        ADD_FAILURE() << Session::last_error().message();
        allocated = ~std::size_t{0};
        break;
      }
      if (++allocated == 1) wanted.wait(1);
    }
  });
  await_blocks(1);
  const std::size_t reserved_blocks = await_reserve(4 * kMiB) / 4096;
  daemon().signal(SIGSTOP);
  wanted = 2 * reserved_blocks;
  wanted.notify_one();
  await_blocks(reserved_blocks / 4 * 3);
  EXPECT_TRUE(session.free_n(others)) << "what goes back is answered before what has to be made";
  await_blocks(reserved_blocks - 64);  // the rest of two spans, one of each thread
  daemon().signal(SIGCONT);
  needy.join();
}

TEST_F(Growth, ATrimGivesBackWhatIsOnItsWay) {
  Session session = connect(test::kPatience);
  auto blocks = fill(session, 4096, 64 * kMiB);
  const std::uint64_t reserve = await_reserve(4 * kMiB);
  const std::uint64_t granted_before = grants();
  daemon().signal(SIGSTOP);
  const auto more = fill(session, 4096, reserve / 4 * 3);
  blocks.insert(blocks.end(), more.begin(), more.end());
  EXPECT_TRUE(session.free_n(blocks));
  daemon().signal(SIGCONT);
  (void)session.trim();
  EXPECT_GT(grants(), granted_before) << "nothing was asked for ahead";
  EXPECT_EQ(check().granted_bytes, 0U);
}

}  // namespace
}  // namespace allot
