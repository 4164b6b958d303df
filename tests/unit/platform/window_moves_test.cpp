#include "shared/platform/window.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
#include "shared/platform/page_size.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/refused_syscall.hpp"
#include "tests/support/windows.hpp"

namespace allot::platform {
namespace {

using test::address_of;
using test::is_free;
using test::kFileBytes;
using test::kKiB;
using test::kMiB;
using test::make_file;
using test::Pipe;
using test::read_faults;
using test::reserve;
using test::run_in_child;
using test::write_faults;

TEST(Window, LeavesNothingBehind) {
  const Descriptor file = make_file();
  std::byte* base = nullptr;
  {
    Window window = reserve(kFileBytes, 2 * kMiB);
    base = window.base();
    ASSERT_TRUE(window.extend(file, 64 * kKiB));
    ASSERT_TRUE(window.extend(file, kMiB));
    EXPECT_FALSE(is_free(base, page_size_bytes()));
  }
  EXPECT_TRUE(is_free(base - 16 * kMiB, kFileBytes + 32 * kMiB));
}

TEST(Window, MovesWithItsContent) {
  const Descriptor file = make_file();
  Window first = reserve(kMiB);
  ASSERT_TRUE(first.extend(file, 64 * kKiB));
  std::byte* const base = first.base();
  base[0] = std::byte{9};
  Window second(std::move(first));
  // NOLINTBEGIN(bugprone-use-after-move,clang-analyzer-cplusplus.Move): what a move leaves
  EXPECT_EQ(first.base(), nullptr);
  EXPECT_EQ(first.size_bytes(), 0U);
  EXPECT_EQ(first.reserved_bytes(), 0U);
  EXPECT_EQ(first.extend(file, 1).error(), Errc::kAddressSpace);
  // NOLINTEND(bugprone-use-after-move,clang-analyzer-cplusplus.Move)
  EXPECT_EQ(second.base(), base);
  EXPECT_EQ(base[0], std::byte{9});
  ASSERT_TRUE(second.extend(file, kMiB)) << "and it can go on";
  EXPECT_EQ(second.base(), base);
}

TEST(Window, AssigningReleasesWhatItHeld) {
  const Descriptor file = make_file();
  Window target = reserve(kMiB);
  ASSERT_TRUE(target.extend(file, 64 * kKiB));
  std::byte* const held = target.base();
  Window source = reserve(kMiB);
  ASSERT_TRUE(source.extend(file, 128 * kKiB));
  std::byte* const given = source.base();

  target = std::move(source);
  EXPECT_TRUE(is_free(held - 16 * kMiB, kMiB + 32 * kMiB));
  EXPECT_EQ(target.base(), given);
  EXPECT_EQ(target.size_bytes(), 128 * kKiB);
  EXPECT_FALSE(read_faults(given + 128 * kKiB - 1));

  Window& same = target;
  target = std::move(same);
  EXPECT_FALSE(read_faults(given)) << "survives being assigned to itself";

  target = Window();
  EXPECT_TRUE(is_free(given - 16 * kMiB, kMiB + 32 * kMiB));
}

// What lies at a window's old place belongs to somebody else; an emptied window must not touch it.
TEST(Window, LeavesAMappingAtItsOldPlaceAlone) {
  const Descriptor file = make_file();
  std::byte* base = nullptr;
  Window moved_from;
  {
    moved_from = reserve(kMiB);
    ASSERT_TRUE(moved_from.extend(file, 64 * kKiB));
    base = moved_from.base();
    const Window last_owner(std::move(moved_from));
  }
  void* const other = ::mmap(base, kMiB, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  ASSERT_EQ(other, base);
  base[0] = std::byte{5};
  moved_from = Window();  // NOLINT(bugprone-use-after-move): the subject
  { const Window emptied(std::move(moved_from)); }
  EXPECT_EQ(base[0], std::byte{5});
  ::munmap(other, kMiB);
}

struct Range {
  std::uint64_t start;
  std::uint64_t end;
  friend bool operator<(const Range& a, const Range& b) { return a.start < b.start; }
};

// Lets a traced child run to its end; returns the ranges it unmapped.
std::vector<Range> trace_unmaps(pid_t child) {
  std::vector<Range> ranges;
  int status = 0;
  while (::waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
    __ptrace_syscall_info info{};
    if (WSTOPSIG(status) == SIGSTOP) {  // its own, at the start
      ::ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    } else if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info);
      if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_munmap) {
        ranges.push_back({info.entry.args[0], info.entry.args[0] + info.entry.args[1]});
      }
    }
    ::ptrace(PTRACE_SYSCALL, child, 0, 0);
  }
  return ranges;
}

// A second munmap of an address would take away what another thread has mapped there meanwhile.
TEST(Window, UnmapsEachAddressOnce) {
  const Descriptor file = make_file();
  const Pipe pipe;
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    if (::ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) ::_exit(test::kSkipped);
    (void)::raise(SIGSTOP);
    {
      Window first = reserve(kMiB, 2 * kMiB);
      for (const std::size_t size : {4 * kKiB, 64 * kKiB, 512 * kKiB}) {
        if (!first.extend(file, size)) ::_exit(1);
      }
      const Window second(std::move(first));
      pipe.put(address_of(second.base()));
    }
    ::_exit(0);
  }
  std::vector<Range> ranges = trace_unmaps(child);
  if (ranges.empty()) GTEST_SKIP() << "not allowed to trace a child";
  const std::uint64_t base = pipe.take().value();
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t next = base - 16 * kMiB;
  for (const Range& range : ranges) {
    if (range.end <= base - 16 * kMiB || range.start >= base + kMiB + 16 * kMiB) continue;
    EXPECT_EQ(range.start, next) << "unmapped twice, or left";
    next = range.end;
  }
  EXPECT_EQ(next, base + kMiB + 16 * kMiB);
}

// What cannot be kept out of forks and dumps is not there: nobody is told of it, nobody reaches it.
TEST(Window, DoesNotGrowWhereTheKernelRefusesAdvice) {
  for (const auto advice : {MADV_DONTFORK, MADV_DONTDUMP}) {
    const auto ending = run_in_child([&] {
      const Descriptor file = make_file();
      Window window = reserve(kMiB);
      if (!window.extend(file, 64 * kKiB)) return 1;
      const test::ArgumentTest is_advice{test::ArgumentTest::Kind::kEquals, 2,
                                         static_cast<std::uint32_t>(advice)};
      if (!test::refuse_syscall(SYS_madvise, ENOMEM, is_advice)) return test::kSkipped;
      if (window.extend(file, kMiB)) return 2;
      if (window.size_bytes() != 64 * kKiB) return 3;
      if (write_faults(window.base() + 64 * kKiB - 1)) return 4;
      std::byte* const gap = window.base() + 64 * kKiB;
      if (!read_faults(gap) || !read_faults(gap + kMiB - 65 * kKiB)) return 5;
      const std::size_t page = page_size_bytes();
      if (is_free(gap, page) || is_free(gap + kMiB - 64 * kKiB - page, page)) return 6;
      // Once more, and each address is unmapped once.
      if (window.extend(file, kMiB) || window.size_bytes() != 64 * kKiB) return 7;
      std::byte* const base = window.base();
      window = Window();
      return is_free(base, kMiB) ? 0 : 8;
    });
    if (ending == test::exited(test::kSkipped)) GTEST_SKIP() << "no filters of system calls here";
    EXPECT_EQ(ending, test::exited(0)) << "advice " << advice;
  }
}

}  // namespace
}  // namespace allot::platform
