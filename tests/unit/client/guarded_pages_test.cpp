#include "client/guarded_pages.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>

#include "shared/platform/page_size.hpp"
#include "tests/support/fault_probe.hpp"

namespace allot::detail {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(GuardedPages, FaultsOnEitherSideAndWhereNothingIsCommitted) {
  GuardedPages pages(kMiB, kMiB);
  ASSERT_TRUE(pages);
  EXPECT_TRUE(test::read_faults(pages.base()));
  ASSERT_TRUE(pages.commit(kMiB));
  EXPECT_EQ(std::count(pages.base(), pages.base() + kMiB, std::byte{0}),
            static_cast<std::ptrdiff_t>(kMiB));
  EXPECT_TRUE(test::read_faults(pages.base() - 1));
  EXPECT_TRUE(test::read_faults(pages.base() + kMiB));
}

TEST(GuardedPages, GrowsInPlaceUpToItsReservation) {
  GuardedPages pages(kMiB, kMiB);
  ASSERT_TRUE(pages.commit(1));
  std::byte* const base = pages.base();
  std::memset(base, 5, pages.committed_bytes());
  const std::size_t before = pages.committed_bytes();
  ASSERT_TRUE(pages.commit(before + 1));
  EXPECT_GT(pages.committed_bytes(), before);
  EXPECT_EQ(pages.base(), base);
  EXPECT_EQ(base[before - 1], std::byte{5});
  EXPECT_EQ(base[before], std::byte{0});
  EXPECT_TRUE(pages.commit(kMiB));
  EXPECT_FALSE(pages.commit(kMiB + 1));
}

TEST(GuardedPages, TakesLessByHalvesDownToItsMinimum) {
  const GuardedPages pages(std::size_t{1} << 60, kMiB);
  ASSERT_TRUE(pages);
  EXPECT_GE(pages.reserved_bytes(), kMiB);
  EXPECT_LT(pages.reserved_bytes(), std::size_t{1} << 47);
  EXPECT_FALSE(GuardedPages(std::size_t{1} << 60, std::size_t{1} << 60));
}

TEST(GuardedPages, Moves) {
  GuardedPages pages(kMiB, kMiB);
  std::byte* const base = pages.base();
  GuardedPages moved = std::move(pages);
  EXPECT_FALSE(pages);  // NOLINT(bugprone-use-after-move): what is left of it
  EXPECT_EQ(moved.base(), base);
  pages = std::move(moved);
  EXPECT_EQ(pages.base(), base);
}

}  // namespace
}  // namespace allot::detail
