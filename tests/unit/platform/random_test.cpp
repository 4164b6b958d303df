#include "shared/platform/random.hpp"

#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/forked_child.hpp"
#include "tests/support/refused_syscall.hpp"

namespace allot::platform {
namespace {

using test::ForkedChild;
using test::Pipe;

TEST(Random, DrawsEveryBitBothWaysAndRepeatsNothing) {
  std::set<std::uint64_t> seen;
  std::uint64_t ones = 0;
  std::uint64_t zeros = 0;
  for (int draw = 0; draw < 1000; ++draw) {
    const std::uint64_t value = random_u64();
    seen.insert(value);
    ones |= value;
    zeros |= ~value;
  }
  EXPECT_EQ(seen.size(), 1000U);  // a repeat has probability 3e-14
  EXPECT_EQ(ones, ~std::uint64_t{0});
  EXPECT_EQ(zeros, ~std::uint64_t{0});
}

TEST(Random, FillsExactlyTheSpan) {
  // Above 256 bytes the kernel may return less than was asked for.
  for (const std::size_t size : {0U, 1U, 7U, 255U, 256U, 257U, 1U << 20U}) {
    std::vector<std::byte> bytes(size + 2, std::byte{0xA5});
    fill_random(std::span(bytes).subspan(1, size));
    EXPECT_EQ(bytes.front(), std::byte{0xA5}) << size;
    EXPECT_EQ(bytes.back(), std::byte{0xA5}) << size;
    if (size < 255) continue;
    // Runs of one value mean that a part was left out: 16 equal bytes have probability 2^-100.
    const auto run = std::search_n(bytes.begin(), bytes.end(), 16, std::byte{0xA5});
    EXPECT_EQ(run, bytes.end()) << size;
  }
}

TEST(Random, DrawsOtherNumbersInAForkedChild) {
  constexpr std::size_t kDraws = 100;
  const Pipe pipe;
  ForkedChild child([&] {
    for (std::size_t draw = 0; draw < kDraws; ++draw) pipe.put(random_u64());
    return 0;
  });
  std::set<std::uint64_t> seen;
  for (std::size_t draw = 0; draw < kDraws; ++draw) {
    seen.insert(random_u64());
    seen.insert(pipe.take().value());
  }
  EXPECT_EQ(seen.size(), 2 * kDraws);
}

TEST(Random, StopsTheProcessRatherThanFallBack) {
  const auto ending = test::run_in_child([] {
    if (!test::refuse_syscall(SYS_getrandom, EPERM)) return test::kSkipped;
    return static_cast<int>(random_u64() & 1U);
  });
  if (ending == test::exited(test::kSkipped)) GTEST_SKIP() << "no seccomp filter here";
  EXPECT_EQ(ending.signal, SIGABRT);
}

}  // namespace
}  // namespace allot::platform
