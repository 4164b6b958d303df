#include "shared/platform/window.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
#include "shared/platform/page_size.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/windows.hpp"

namespace allot::platform {
namespace {

using test::address_of;
using test::kFileBytes;
using test::kGiB;
using test::kKiB;
using test::kMiB;
using test::make_file;
using test::read_faults;
using test::reserve;
using test::run_in_child;
using test::write_faults;

// ---- What is mapped

TEST(Window, MapsNothingAtFirst) {
  const Descriptor file = make_file();
  const Window window = reserve(kMiB);
  EXPECT_EQ(window.size_bytes(), 0U);
  EXPECT_EQ(window.reserved_bytes(), kMiB);
  EXPECT_TRUE(read_faults(window.base()));
  EXPECT_TRUE(read_faults(window.base() + kMiB - 1));
  EXPECT_EQ(committed_bytes(file), 0U);
}

TEST(Window, RoundsUpToPages) {
  const Window window = reserve(1);
  EXPECT_EQ(window.reserved_bytes(), page_size_bytes());
  Window other = reserve(kMiB);
  ASSERT_TRUE(other.extend(make_file(), 1));
  EXPECT_EQ(other.size_bytes(), page_size_bytes());
}

TEST(Window, GrowsInPlaceAndKeepsItsContent) {
  const Descriptor file = make_file();
  const std::size_t page = page_size_bytes();
  Window window = reserve(kFileBytes);
  std::byte* const base = window.base();
  std::size_t pages = 0;
  for (const std::size_t more : {1U, 1U, 3U, 16U, 100U}) {
    ASSERT_TRUE(window.extend(file, (pages + more) * page));
    ASSERT_EQ(window.base(), base);
    ASSERT_EQ(window.size_bytes(), (pages + more) * page);
    for (std::size_t i = pages; i < pages + more; ++i) {
      EXPECT_EQ(base[i * page], std::byte{0});
      base[i * page] = static_cast<std::byte>(i + 1);
    }
    pages += more;
    for (std::size_t i = 0; i < pages; ++i) {
      ASSERT_EQ(base[i * page], static_cast<std::byte>(i + 1)) << "after growing to " << pages;
    }
    EXPECT_TRUE(read_faults(base + pages * page));
  }
  // The same bytes through one mapping made at once: the pieces are where they belong.
  Window other = reserve(kFileBytes);
  ASSERT_TRUE(other.extend(file, pages * page));
  EXPECT_NE(other.base(), base);
  EXPECT_EQ(std::memcmp(other.base(), base, pages * page), 0);
}

TEST(Window, BeginsAtItsOffsetInTheFile) {
  const Descriptor file = make_file();
  Window whole = reserve(kFileBytes);
  ASSERT_TRUE(whole.extend(file, kFileBytes));
  Window part = Window::reserve({.file_offset_bytes = kMiB, .reserve_bytes = kMiB}).value();
  ASSERT_TRUE(part.extend(file, 64 * kKiB));
  ASSERT_TRUE(part.extend(file, kMiB));
  part.base()[0] = std::byte{1};
  part.base()[64 * kKiB] = std::byte{2};
  part.base()[kMiB - 1] = std::byte{3};
  EXPECT_EQ(whole.base()[kMiB], std::byte{1});
  EXPECT_EQ(whole.base()[kMiB + 64 * kKiB], std::byte{2});
  EXPECT_EQ(whole.base()[2 * kMiB - 1], std::byte{3});
}

TEST(Window, NeverShrinks) {
  const Descriptor file = make_file();
  Window window = reserve(kMiB);
  ASSERT_TRUE(window.extend(file, 64 * kKiB));
  for (const std::size_t smaller : {std::size_t{0}, std::size_t{1}, 64 * kKiB}) {
    EXPECT_TRUE(window.extend(file, smaller));
    EXPECT_EQ(window.size_bytes(), 64 * kKiB);
  }
  EXPECT_FALSE(read_faults(window.base() + 64 * kKiB - 1));
}

TEST(Window, FaultsBeyondItsSize) {
  const auto read_at = [](std::size_t offset) {
    return run_in_child([offset] {
      const Descriptor file = make_file();
      Window window = reserve(kFileBytes);
      if (!window.extend(file, 128 * kKiB)) return 1;
      const volatile std::byte* const place = window.base() + offset;
      return static_cast<int>(*place);
    });
  };
  EXPECT_EQ(read_at(0), test::exited(0));
  EXPECT_EQ(read_at(128 * kKiB - 1), test::exited(0));
  for (const std::size_t offset : {128 * kKiB, kMiB, kFileBytes - 1}) {
    EXPECT_EQ(read_at(offset).signal, SIGSEGV) << offset;
  }
}

TEST(Window, CannotGrowBeyondItsReservation) {
  const Descriptor file = make_file();
  Window window = reserve(kMiB);
  EXPECT_EQ(window.extend(file, kMiB + 1).error(), Errc::kAddressSpace);
  EXPECT_EQ(window.size_bytes(), 0U);
  EXPECT_TRUE(window.extend(file, kMiB));
}

TEST(Window, CanBeReadOnly) {
  const Descriptor file = make_file();
  const auto reader = reopen_read_only(file);
  ASSERT_TRUE(reader);
  Window window =
      Window::reserve({.reserve_bytes = kMiB, .access = Window::Access::kReadOnly}).value();
  ASSERT_TRUE(window.extend(*reader, kMiB));
  EXPECT_FALSE(read_faults(window.base()));
  EXPECT_TRUE(write_faults(window.base()));
  EXPECT_EQ(::mprotect(window.base(), kMiB, PROT_READ | PROT_WRITE), -1);
  EXPECT_EQ(errno, EACCES);
}

// Somebody else's mapping must not slip into a reservation, whatever the kernel does on failure.
TEST(Window, KeepsItsReservationWhenMappingFails) {
  const Descriptor file(::memfd_create("window_test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(file.get(), kFileBytes), 0);
  Window window = reserve(kMiB);
  ASSERT_TRUE(window.extend(file, 64 * kKiB));
  ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);

  const auto refused = window.extend(file, kMiB);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, std::errc::operation_not_permitted);
  EXPECT_EQ(window.size_bytes(), 64 * kKiB);
  EXPECT_FALSE(write_faults(window.base() + 64 * kKiB - 1));
  void* const gap = window.base() + 64 * kKiB;
  EXPECT_EQ(::mmap(gap, page_size_bytes(), PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
            MAP_FAILED);
  EXPECT_EQ(errno, EEXIST);
}

// ---- Forks and dumps

// The flags that /proc/self/smaps lists for the mapping that begins at `base`.
std::string vm_flags(const std::byte* base) {
  std::ostringstream start;
  start << std::hex << address_of(base) << '-';
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with(start.str())) here = true;
    if (here && line.starts_with("VmFlags:")) return line + ' ';
  }
  return {};
}

TEST(Window, IsNotInheritedByAForkedChild) {
  const Descriptor file = make_file();
  Window window = reserve(kFileBytes);
  ASSERT_TRUE(window.extend(file, 64 * kKiB));
  ASSERT_TRUE(window.extend(file, 2 * kMiB)) << "each piece must have it";
  window.base()[0] = std::byte{7};
  for (const std::size_t offset : {std::size_t{0}, 64 * kKiB, 2 * kMiB - 1}) {
    const auto ending = run_in_child([&] {
      const volatile std::byte* const place = window.base() + offset;
      return static_cast<int>(*place);
    });
    EXPECT_EQ(ending.signal, SIGSEGV) << offset;
  }
  EXPECT_EQ(window.base()[0], std::byte{7}) << "the parent keeps it";

  // A plain mapping is inherited: that is what the children above would have read.
  const auto plain = run_in_child([&] {
    const void* const inherited = ::mmap(nullptr, kMiB, PROT_READ, MAP_SHARED, file.get(), 0);
    if (inherited == MAP_FAILED) return 1;
    const auto grandchild = run_in_child([inherited] {
      return static_cast<int>(*static_cast<const volatile std::byte*>(inherited));
    });
    return grandchild == test::exited(7) ? 0 : 2;
  });
  EXPECT_EQ(plain, test::exited(0));
}

TEST(Window, IsLeftOutOfCoreDumpsAndForks) {
  const Descriptor file = make_file();
  Window window = reserve(kFileBytes);
  ASSERT_TRUE(window.extend(file, 64 * kKiB));
  ASSERT_TRUE(window.extend(file, 2 * kMiB));
  const std::string open = vm_flags(window.base());
  EXPECT_NE(open.find(" dd "), std::string::npos) << open;
  EXPECT_NE(open.find(" dc "), std::string::npos) << open;
  const std::string closed = vm_flags(window.base() + window.size_bytes());
  EXPECT_NE(closed.find(" dd "), std::string::npos) << closed;
}

// ---- Limits

std::size_t address_space_in_use() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * page_size_bytes();
}

bool leave_address_space(std::size_t bytes) {
  const rlim_t limit = address_space_in_use() + bytes;
  const rlimit limits{limit, limit};
  return ::setrlimit(RLIMIT_AS, &limits) == 0;
}

TEST(Window, ReservesLessWhereAddressSpaceIsShort) {
  const auto ending = run_in_child([] {
    if (!leave_address_space(kGiB)) return 1;
    const auto window = Window::reserve({.reserve_bytes = 64 * kGiB, .minimum_bytes = 16 * kMiB});
    if (!window) return 2;
    // 64 GiB halved until it fits with its guards, then once more: the rest is the program's.
    return window->reserved_bytes() == 256 * kMiB ? 0 : 3;
  });
  EXPECT_EQ(ending, test::exited(0));
}

TEST(Window, SaysWhenNotEvenTheLeastCanBeHad) {
  const auto ending = run_in_child([] {
    if (!leave_address_space(kGiB)) return 1;
    const auto window = Window::reserve({.reserve_bytes = 64 * kGiB, .minimum_bytes = 2 * kGiB});
    if (window) return 2;
    if (window.error().errc() != Errc::kAddressSpace) return 3;
    return window.error().detail.find("ulimit -v") != std::string::npos ? 0 : 4;
  });
  EXPECT_EQ(ending, test::exited(0));
}

TEST(Window, FitsTheMinimumExactlyAtTheLastTry) {
  const auto ending = run_in_child([] {
    if (!leave_address_space(kGiB)) return 1;
    const auto window = Window::reserve({.reserve_bytes = 64 * kGiB, .minimum_bytes = 600 * kMiB});
    return window && window->reserved_bytes() == 600 * kMiB ? 0 : 2;
  });
  EXPECT_EQ(ending, test::exited(0));
}

}  // namespace
}  // namespace allot::platform
