#include "shared/platform/memfd.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <span>
#include <system_error>

#include <gtest/gtest.h>

#include "shared/platform/page_size.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/refused_syscall.hpp"

namespace allot::platform {
namespace {

using test::ForkedChild;
using test::Pipe;
using test::run_in_child;

constexpr std::uint64_t kSize = 1 << 20;
constexpr uid_t kOtherUser = 65534;

Descriptor make_file() { return make_sealed_memfd("memfd_test", kSize).value(); }

struct stat status_of(const Descriptor& file) {
  struct stat status {};
  EXPECT_EQ(::fstat(file.get(), &status), 0);
  return status;
}

// A mapping of the whole file, or MAP_FAILED and errno.
void* map_all(const Descriptor& file, int protection) {
  return ::mmap(nullptr, kSize, protection, MAP_SHARED, file.get(), 0);
}

TEST(Memfd, BelongsToItsUserAloneAndIsCloseOnExec) {
  const Descriptor file = make_file();
  EXPECT_EQ(status_of(file).st_mode & 07777U, 0600U);
  EXPECT_EQ(::fcntl(file.get(), F_GETFD), FD_CLOEXEC);
  const auto link = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file.get()));
  EXPECT_EQ(link.native(), "/memfd:memfd_test (deleted)");
}

TEST(Memfd, CannotBeResizedOrUnsealedOrSealedFurther) {
  const Descriptor file = make_file();
  EXPECT_TRUE(is_sealed_memfd(file));
  for (const off_t size : {0L, 4096L, 1L << 19, 1L << 21}) {
    EXPECT_EQ(::ftruncate(file.get(), size), -1) << size;
    EXPECT_EQ(errno, EPERM) << size;
  }
  EXPECT_EQ(status_of(file).st_size, static_cast<off_t>(kSize));
  EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(Memfd, IsMadeByKernelsThatKnowNoNoexecSeal) {
  const auto ending = run_in_child([] {
    constexpr test::ArgumentTest kAsksForSeal{test::ArgumentTest::Kind::kHasBit, 1, 0x0008U};
    if (!test::refuse_syscall(SYS_memfd_create, EINVAL, kAsksForSeal)) return test::kSkipped;
    const auto file = make_sealed_memfd("memfd_test", kSize);
    const auto presence = make_presence_file("presence_test");
    if (!file || !presence || !is_sealed_memfd(*file)) return 1;
    return (status_of(*file).st_mode & 07777U) == 0600U ? 0 : 2;
  });
  if (ending == test::exited(test::kSkipped)) GTEST_SKIP() << "no seccomp filter here";
  EXPECT_EQ(ending, test::exited(0));
}

TEST(Memfd, IsNotSealedUnlessEverySealIsThere) {
  const Descriptor open_file(::memfd_create("memfd_test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_FALSE(is_sealed_memfd(open_file));
  ASSERT_EQ(::fcntl(open_file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_FALSE(is_sealed_memfd(open_file)) << "others could still seal it against writing";
  ASSERT_EQ(::fcntl(open_file.get(), F_ADD_SEALS, F_SEAL_SEAL), 0);
  EXPECT_TRUE(is_sealed_memfd(open_file));

  const Descriptor no_memfd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(is_sealed_memfd(no_memfd));
  EXPECT_FALSE(is_sealed_memfd(Descriptor()));
}

TEST(Memfd, CommitsAndPunchesWhatItIsTold) {
  const Descriptor file = make_file();
  const std::size_t page = page_size_bytes();
  EXPECT_EQ(committed_bytes(file), 0U) << "holes only";
  ASSERT_TRUE(commit_range(file, page, 3 * page));
  EXPECT_EQ(committed_bytes(file), 3 * page);
  ASSERT_TRUE(commit_range(file, 0, 2 * page)) << "what is there already stays";
  EXPECT_EQ(committed_bytes(file), 4 * page);
  ASSERT_TRUE(punch_range(file, page, 2 * page));
  EXPECT_EQ(committed_bytes(file), 2 * page);
  EXPECT_EQ(status_of(file).st_size, static_cast<off_t>(kSize));
}

TEST(Memfd, PunchingZeroesEveryMapping) {
  const Descriptor file = make_file();
  const std::size_t page = page_size_bytes();
  const Pipe ready;
  const Pipe punched;
  ForkedChild child([&] {
    auto* const bytes = static_cast<std::byte*>(map_all(file, PROT_READ | PROT_WRITE));
    std::fill_n(bytes, 3 * page, std::byte{0x77});
    ready.put(1);
    if (punched.take() != 1U) return 1;
    const std::span<const std::byte> middle(bytes + page, page);
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    return std::all_of(middle.begin(), middle.end(), is_zero) && bytes[page - 1] != std::byte{0} &&
                   bytes[2 * page] != std::byte{0}
               ? 0
               : 2;
  });
  ASSERT_EQ(ready.take(), 1U);
  ASSERT_TRUE(punch_range(file, page, page));
  punched.put(1);
  EXPECT_EQ(child.wait(), test::exited(0));
}

TEST(Memfd, CannotCommitBeyondItsEnd) {
  const auto beyond = commit_range(make_file(), kSize - 1, 2);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().code, std::errc::operation_not_permitted) << "the file would grow";
  EXPECT_EQ(beyond.error().detail, "fallocate");
}

TEST(Memfd, ReopenedReadOnlyCannotBeWritten) {
  const Descriptor file = make_file();
  const auto reader = reopen_read_only(file);
  ASSERT_TRUE(reader) << reader.error().message();
  EXPECT_EQ(::fcntl(reader->get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(status_of(*reader).st_ino, status_of(file).st_ino);

  EXPECT_EQ(map_all(*reader, PROT_READ | PROT_WRITE), MAP_FAILED);
  EXPECT_EQ(errno, EACCES);
  void* const bytes = map_all(*reader, PROT_READ);
  ASSERT_NE(bytes, MAP_FAILED);
  EXPECT_EQ(::mprotect(bytes, kSize, PROT_READ | PROT_WRITE), -1);
  EXPECT_EQ(errno, EACCES);
  EXPECT_EQ(::madvise(bytes, kSize, MADV_REMOVE), -1) << "punches the file through the mapping";
  ::munmap(bytes, kSize);

  EXPECT_EQ(::pwrite(reader->get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_FALSE(punch_range(*reader, 0, kSize));
  EXPECT_FALSE(commit_range(*reader, 0, kSize));
  EXPECT_EQ(::fcntl(reader->get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
}

TEST(Memfd, ReopeningNothingIsAnError) {
  const auto none = reopen_read_only(Descriptor());
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, std::errc::no_such_file_or_directory);
}

// Another user who holds `reader` opens it again for writing: 0, or errno.
int reopen_for_writing_as_other_user(const Descriptor& reader) {
  const auto ending = run_in_child([&] {
    if (::setresgid(kOtherUser, kOtherUser, kOtherUser) != 0 ||
        ::setresuid(kOtherUser, kOtherUser, kOtherUser) != 0) {
      return test::kSkipped;
    }
    const std::string path = "/proc/self/fd/" + std::to_string(reader.get());
    const Descriptor writer(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!writer) return errno;
    return map_all(writer, PROT_READ | PROT_WRITE) == MAP_FAILED ? errno : 0;
  });
  EXPECT_EQ(ending.signal, 0);
  return ending.exit_status;
}

TEST(Memfd, AnotherUserCannotReopenItForWriting) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const auto reader = reopen_read_only(make_file());
  ASSERT_TRUE(reader);
  EXPECT_EQ(reopen_for_writing_as_other_user(*reader), EACCES);

  // With the kernel's own mode anybody can: the mode is what keeps them out.
  const Descriptor lax(::memfd_create("memfd_test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  ASSERT_EQ(::ftruncate(lax.get(), kSize), 0);
  const auto lax_reader = reopen_read_only(lax);
  ASSERT_TRUE(lax_reader);
  EXPECT_EQ(reopen_for_writing_as_other_user(*lax_reader), 0);
}

}  // namespace
}  // namespace allot::platform
