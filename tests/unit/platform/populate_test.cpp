#include "shared/platform/populate.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include <gtest/gtest.h>

#include "shared/platform/page_size.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/refused_syscall.hpp"

namespace allot::platform {
namespace {

constexpr std::size_t kPages = 8;
constexpr std::uint32_t kPopulateWrite = 23;  // MADV_POPULATE_WRITE, which old headers lack

// Pages that nobody has touched.
class Pages {
 public:
  Pages()
      : base_(static_cast<std::byte*>(::mmap(nullptr, kPages * page_size_bytes(),
                                             PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                             -1, 0))) {
    // One huge page would be all of them at the first touch.
    ::madvise(base_, kPages * page_size_bytes(), MADV_NOHUGEPAGE);
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  ~Pages() { ::munmap(base_, kPages * page_size_bytes()); }

  [[nodiscard]] std::byte* page(std::size_t index) const {
    return base_ + index * page_size_bytes();
  }
  /// How many of the first `count` are there.
  [[nodiscard]] std::ptrdiff_t resident(std::size_t count) const {
    std::array<unsigned char, kPages> flags{};
    if (::mincore(base_, count * page_size_bytes(), flags.data()) != 0) return -1;
    return std::count_if(flags.begin(), flags.end(), [](auto flag) { return (flag & 1) != 0; });
  }

 private:
  std::byte* base_;
};

bool kernel_populates() {
  const Pages pages;
  return ::madvise(pages.page(0), page_size_bytes(), static_cast<int>(kPopulateWrite)) == 0;
}

TEST(Populate, MapsExactlyTheRange) {
  if (!kernel_populates()) GTEST_SKIP() << "a kernel before 5.14";
  const Pages pages;
  ASSERT_EQ(pages.resident(kPages), 0);
  populate(pages.page(0), 3 * page_size_bytes());
  EXPECT_EQ(pages.resident(3), 3);
  EXPECT_EQ(pages.resident(kPages), 3);
}

TEST(Populate, LeavesTheContent) {
  const Pages pages;
  pages.page(1)[5] = std::byte{7};
  populate(pages.page(0), kPages * page_size_bytes());
  EXPECT_EQ(pages.page(1)[5], std::byte{7});
  EXPECT_EQ(pages.page(2)[5], std::byte{0});
}

TEST(Populate, LeavesPagesToTheFirstTouchWhereTheKernelDoesNotKnowIt) {
  const auto ending = test::run_in_child([] {
    const test::ArgumentTest is_populate{test::ArgumentTest::Kind::kEquals, 2, kPopulateWrite};
    const Pages pages;
    if (!test::refuse_syscall(SYS_madvise, EINVAL, is_populate)) return test::kSkipped;
    populate(pages.page(0), kPages * page_size_bytes());
    if (pages.resident(kPages) != 0) return 1;
    pages.page(3)[0] = std::byte{1};
    return pages.resident(kPages) == 1 ? 0 : 2;
  });
  if (ending == test::exited(test::kSkipped)) GTEST_SKIP() << "no filters of system calls here";
  EXPECT_EQ(ending, test::exited(0));
}

}  // namespace
}  // namespace allot::platform
