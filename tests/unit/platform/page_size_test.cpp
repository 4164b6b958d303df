#include "shared/platform/page_size.hpp"

#include <unistd.h>

#include <bit>

#include <gtest/gtest.h>

namespace allot::platform {
namespace {

TEST(PageSize, IsTheMachines) {
  EXPECT_EQ(page_size_bytes(), static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_TRUE(std::has_single_bit(page_size_bytes()));
}

TEST(PageSize, RoundsUpToWholePages) {
  const std::size_t page = page_size_bytes();
  EXPECT_EQ(round_up_to_page(0), 0U);
  EXPECT_EQ(round_up_to_page(1), page);
  EXPECT_EQ(round_up_to_page(page - 1), page);
  EXPECT_EQ(round_up_to_page(page), page);
  EXPECT_EQ(round_up_to_page(page + 1), 2 * page);
  EXPECT_EQ(round_up_to_page((std::size_t{1} << 62) + 1), (std::size_t{1} << 62) + page);
}

}  // namespace
}  // namespace allot::platform
