// How a session grows: by few messages, asked for ahead of need, and by little more than it needs.

#include <chrono>
#include <cstdint>
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
  [[nodiscard]] bool has_in_reserve(std::uint64_t bytes) const {
    const test::RegionCheck sums = check();
    return sums.granted_bytes - sums.live_bytes >= bytes;
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
    (void)fill(session, 4096, kMiB / 4);
    // Nobody calls the session meanwhile: what comes was asked for before.
    const auto begun = Clock::now();
    while (!has_in_reserve(kMiB)) ASSERT_LT(Clock::now() - begun, test::kPatience) << step;
  }
}

}  // namespace
}  // namespace allot
