// Seeded histories of a FitHeap beside an oracle that looks at every extent.

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <allot/fit_heap.hpp>

#include "tests/support/fit_oracle.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

constexpr std::size_t kMaxBlocks = 60;  // so that fewer extents are free than an alignment looks at

std::size_t any_size(test::Random& random, std::uint32_t largest) {
  switch (random.below(4U)) {
    case 0: return random.below(64U);
    case 1: return std::size_t{16} << random.below(10U);
    case 2: return random.below(largest);
    default: return random.below(1024U);
  }
}

void run(test::Random& random, std::size_t bytes, std::uint32_t largest) {
  std::vector<std::byte> buffer(bytes + 16);
  std::byte* const base =
      buffer.data() + (~reinterpret_cast<std::uintptr_t>(buffer.data()) + 1) % 16;
  FitHeap heap = FitHeap::over(std::span(base, bytes));
  test::FitOracle oracle(heap, base, bytes);
  for (int step = 0; step < 600 && !testing::Test::HasFatalFailure(); ++step) {
    const std::size_t alignment = random.percent(80) ? 16 : std::size_t{16} << random.below(9U);
    const std::uint32_t what = random.below(100U);
    if (what < 45) {
      if (oracle.blocks() < kMaxBlocks) oracle.allocate(any_size(random, largest), alignment);
    } else if (what < 65) {
      oracle.reallocate(random, any_size(random, largest), alignment);
    } else if (what < 94) {
      oracle.free(random);
    } else if (what < 99) {
      oracle.misuse(random);
    } else if (random.percent(10)) {
      oracle.clear();
    }
  }
}

TEST(FitHeapRandom, ChoosesWhatALookAtAllExtentsChooses) {
  const test::SeedRange range = test::seeds(40);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    run(random, std::size_t{24} << 10, 4096);
    ASSERT_FALSE(testing::Test::HasFatalFailure());
  }
}

TEST(FitHeapRandom, AlsoAmongExtentsBeyondTheLastBin) {
  const test::SeedRange range = test::seeds(6);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    run(random, std::size_t{2} << 20, 300'000);
    ASSERT_FALSE(testing::Test::HasFatalFailure());
  }
}

}  // namespace
}  // namespace allot
