#include "shared/platform/pidfd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

#include <gtest/gtest.h>

#include "tests/support/forked_child.hpp"

namespace allot::platform {
namespace {

using test::ForkedChild;

int wait_for_ever() {
  for (;;) ::pause();
}

bool becomes_readable(const Descriptor& pidfd) {
  pollfd entry{pidfd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 10'000) == 1;
}

TEST(Pidfd, IsCloseOnExec) {
  const auto self = pidfd_open(::getpid());
  ASSERT_TRUE(self) << self.error().message();
  EXPECT_EQ(::fcntl(self->get(), F_GETFD), FD_CLOEXEC);
}

TEST(Pidfd, TellsALivingProcessFromAZombie) {
  const ForkedChild child(wait_for_ever);
  const auto pidfd = pidfd_open(child.pid());
  ASSERT_TRUE(pidfd) << pidfd.error().message();
  EXPECT_FALSE(has_exited(*pidfd));

  ::kill(child.pid(), SIGKILL);
  EXPECT_TRUE(becomes_readable(*pidfd));
  EXPECT_TRUE(has_exited(*pidfd)) << "dead, though nobody reaped it yet";
}

TEST(Pidfd, StaysExitedAfterTheProcessIsReaped) {
  ForkedChild child([] { return 0; });
  const pid_t pid = child.pid();
  const auto pidfd = pidfd_open(pid);
  ASSERT_TRUE(pidfd) << pidfd.error().message();
  (void)child.wait();
  EXPECT_TRUE(has_exited(*pidfd));

  const auto late = pidfd_open(pid);
  ASSERT_FALSE(late) << "no process has the number now";
  EXPECT_EQ(late.error().code, std::errc::no_such_process);
}

TEST(Pidfd, RefusesWhatIsNoProcess) {
  const auto none = pidfd_open(-1);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, std::errc::invalid_argument);
}

}  // namespace
}  // namespace allot::platform
