// Windows over private memory: no file, and a forked child has a copy.

#include <cstddef>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>

#include "shared/platform/page_size.hpp"
#include "shared/platform/window.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/windows.hpp"

namespace allot::platform {
namespace {

using test::exited;
using test::kMiB;
using test::read_faults;
using test::refused;
using test::reserve;
using test::run_in_child;

TEST(PrivateWindow, GrowsInPlaceAndIsZero) {
  const std::size_t page = page_size_bytes();
  Window window = reserve(kMiB);
  ASSERT_TRUE(window.extend_privately(1));
  EXPECT_EQ(window.size_bytes(), page);
  EXPECT_TRUE(read_faults(window.base() + page));
  std::memset(window.base(), 1, page);
  std::byte* const base = window.base();
  ASSERT_TRUE(window.extend_privately(kMiB));
  EXPECT_EQ(window.base(), base);
  EXPECT_EQ(window.base()[page - 1], std::byte{1});
  EXPECT_EQ(window.base()[page], std::byte{0});
  EXPECT_EQ(window.base()[kMiB - 1], std::byte{0});
  ASSERT_TRUE(window.extend_privately(page));
  EXPECT_EQ(window.size_bytes(), kMiB);
  EXPECT_TRUE(refused(window.extend_privately(kMiB + 1), Errc::kAddressSpace));
}

TEST(PrivateWindow, IsCopiedToAForkedChild) {
  Window window = reserve(kMiB);
  ASSERT_TRUE(window.extend_privately(kMiB));
  window.base()[0] = std::byte{1};
  EXPECT_EQ(run_in_child([&] {
              if (window.base()[0] != std::byte{1}) return 1;
              window.base()[0] = std::byte{2};
              return 0;
            }),
            exited(0));
  EXPECT_EQ(window.base()[0], std::byte{1});
}

TEST(PrivateWindow, IsUnmappedAtItsEnd) {
  std::byte* base = nullptr;
  {
    Window window = reserve(kMiB);
    ASSERT_TRUE(window.extend_privately(kMiB));
    const Window moved = std::move(window);
    base = moved.base();
    EXPECT_FALSE(read_faults(base));
  }
  EXPECT_TRUE(read_faults(base));
}

}  // namespace
}  // namespace allot::platform
