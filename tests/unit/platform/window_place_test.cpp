#include "shared/platform/window.hpp"

#include <sys/mman.h>

#include <bit>
#include <functional>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
#include "shared/platform/page_size.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/sanitizer.hpp"
#include "tests/support/windows.hpp"

namespace allot::platform {
namespace {

using test::address_of;
using test::ForkedChild;
using test::is_free;
using test::kGiB;
using test::kKiB;
using test::kMiB;
using test::make_file;
using test::Pipe;
using test::read_faults;
using test::reserve;
using test::write_faults;

// Bits in which the addresses differ among each other.
int varying_bits(const std::vector<std::uintptr_t>& addresses) {
  std::uintptr_t varying = 0;
  for (const std::uintptr_t address : addresses) varying |= address ^ addresses.front();
  return std::popcount(varying);
}

// What `place` answers in each of 64 children. They begin as copies of one address space, so what
// the kernel places is at the same address in all of them.
std::vector<std::uintptr_t> places_in_children(const std::function<std::uintptr_t()>& place) {
  std::vector<std::uintptr_t> answers;
  for (int i = 0; i < 64; ++i) {
    const Pipe pipe;
    ForkedChild child([&] {
      pipe.put(place());
      return 0;
    });
    answers.push_back(pipe.take().value_or(0));
    EXPECT_EQ(child.wait(), test::exited(0));
  }
  return answers;
}

std::size_t count_distinct(const std::vector<std::uintptr_t>& addresses) {
  return std::set<std::uintptr_t>(addresses.begin(), addresses.end()).size();
}

TEST(Window, LiesElsewhereInEachProcess) {
  if (test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer forbids most places";
  const auto ours = places_in_children([] { return address_of(reserve(kGiB).base()); });
  EXPECT_EQ(count_distinct(ours), ours.size());
  EXPECT_GE(varying_bits(ours), 30);

  const auto aligned =
      places_in_children([] { return address_of(reserve(kGiB, 2 * kMiB).base()); });
  // Two of 64 meet in one of 2^26 places once in 33,000 runs.
  EXPECT_GE(count_distinct(aligned), aligned.size() - 1);
  EXPECT_GE(varying_bits(aligned), 24);

  // The kernel's own choice, to see that the children's addresses would not vary by themselves.
  const auto kernels = places_in_children([] {
    void* const place =
        ::mmap(nullptr, kGiB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return reinterpret_cast<std::uintptr_t>(place);
  });
  EXPECT_EQ(varying_bits(kernels), 0);
}

TEST(Window, LiesAtNoFixedDistanceFromTheLast) {
  if (test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer forbids most places";
  std::vector<Window> windows;
  std::vector<std::uintptr_t> bases;
  std::vector<std::uintptr_t> distances;
  for (int i = 0; i < 64; ++i) {
    windows.push_back(reserve(kGiB));
    bases.push_back(address_of(windows.back().base()));
    if (i > 0) distances.push_back(bases.back() - bases.at(bases.size() - 2));
  }
  EXPECT_EQ(count_distinct(bases), bases.size());
  EXPECT_EQ(count_distinct(distances), distances.size());
  EXPECT_GE(varying_bits(bases), 30);
}

TEST(Window, LiesAtAMultipleOfTheAlignment) {
  for (const std::size_t alignment : {page_size_bytes(), 64 * kKiB, 2 * kMiB, kGiB}) {
    for (int i = 0; i < 8; ++i) {
      const Window window = reserve(kMiB, alignment);
      EXPECT_EQ(address_of(window.base()) % alignment, 0U);
      EXPECT_EQ(window.reserved_bytes(), kMiB);
    }
  }
}

TEST(Window, HasGuardSpaceOnBothSides) {
  for (const std::size_t alignment : {page_size_bytes(), 2 * kMiB}) {
    const Descriptor file = make_file();
    Window window = reserve(kMiB, alignment);
    ASSERT_TRUE(window.extend(file, kMiB)) << "so that nothing of the reservation is left closed";
    EXPECT_FALSE(write_faults(window.base()));
    EXPECT_FALSE(write_faults(window.base() + kMiB - 1));
    for (const std::size_t distance : {std::size_t{1}, page_size_bytes(), kMiB, 16 * kMiB}) {
      EXPECT_TRUE(read_faults(window.base() - distance)) << distance;
      EXPECT_TRUE(read_faults(window.base() + kMiB + distance - 1)) << distance;
    }
    // And nobody else's mapping can come to lie there.
    for (const std::size_t distance : {page_size_bytes(), kMiB, 16 * kMiB}) {
      EXPECT_FALSE(is_free(window.base() - distance, page_size_bytes())) << distance;
      EXPECT_FALSE(is_free(window.base() + kMiB + distance - page_size_bytes(), page_size_bytes()))
          << distance;
    }
  }
}

}  // namespace
}  // namespace allot::platform
