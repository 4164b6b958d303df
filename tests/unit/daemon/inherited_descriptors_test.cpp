#include "daemon/inherited_descriptors.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

#include "shared/platform/memfd.hpp"

namespace allot::daemon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

off_t size_of(const platform::Descriptor& file) {
  struct stat status {};
  return ::fstat(file.get(), &status) == 0 ? status.st_size : -1;
}

// Puts files of 1, 2, ... pages at the descriptors 3, 4, ... of a child, which then runs `check`; its
// failures are the test's.
template <class Check>
void in_a_child_with(const std::string& names, int count, const Check& check) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::vector<int> above;  // files themselves may lie at 3, 4, ...
    for (int i = 0; i < count; ++i) {
      const auto file =
          platform::make_sealed_memfd("passed", std::uint64_t{4096} * static_cast<unsigned>(i + 1));
      above.push_back(::fcntl(file->get(), F_DUPFD_CLOEXEC, 100));
    }
    for (int i = 0; i < count; ++i) ::dup2(above[static_cast<std::size_t>(i)], 3 + i);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(count).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
    check();
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(InheritedDescriptors, AreHandedOutByNameOnce) {
  in_a_child_with("b:a:b:c", 4, [] {
    auto inherited = InheritedDescriptors::from_environment();
    ASSERT_TRUE(inherited);
    EXPECT_EQ(::getenv("LISTEN_FDS"), nullptr);
    EXPECT_THAT(inherited->names(), ElementsAre("a", "b", "b", "c"));
    const auto both = inherited->take_all("b");
    ASSERT_EQ(both.size(), 2U);
    EXPECT_EQ(size_of(both[0]), 1 * 4096);
    EXPECT_EQ(size_of(both[1]), 3 * 4096);
    EXPECT_THAT(inherited->take_all("b"), IsEmpty());
    const auto one = inherited->take("a");
    ASSERT_TRUE(one);
    EXPECT_EQ(size_of(*one), 2 * 4096);
    EXPECT_EQ(::fcntl(one->get(), F_GETFD), FD_CLOEXEC);
    EXPECT_FALSE(inherited->take("a"));
    EXPECT_FALSE(inherited->take("d"));
    EXPECT_THAT(inherited->names(), ElementsAre("c"));
  });
}

TEST(InheritedDescriptors, AreClosedIfNobodyTakesThem) {
  in_a_child_with("a", 1, [] {
    { (void)InheritedDescriptors::from_environment(); }
    EXPECT_EQ(::fcntl(3, F_GETFD), -1);
  });
}

TEST(InheritedDescriptors, ThoseOfAnotherProcessAreLeftAlone) {
  in_a_child_with("a", 1, [] {
    ::setenv("LISTEN_PID", "1", 1);
    const auto inherited = InheritedDescriptors::from_environment();
    ASSERT_TRUE(inherited);
    EXPECT_THAT(inherited->names(), IsEmpty());
    EXPECT_NE(::fcntl(3, F_GETFD), -1);
  });
}

TEST(InheritedDescriptors, NamesThatDoNotAddUpAreAnError) {
  in_a_child_with("a:b:c", 2, [] { EXPECT_FALSE(InheritedDescriptors::from_environment()); });
}

}  // namespace
}  // namespace allot::daemon
