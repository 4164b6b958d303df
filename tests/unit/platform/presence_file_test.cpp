#include "shared/platform/memfd.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <span>

#include <gtest/gtest.h>

#include "shared/platform/page_size.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/sanitizer.hpp"

namespace allot::platform {
namespace {

using test::ForkedChild;
using test::Pipe;

struct stat status_of(const Descriptor& file) {
  struct stat status {};
  EXPECT_EQ(::fstat(file.get(), &status), 0);
  return status;
}

class PresenceFile : public testing::Test {
 protected:
  // In a child: maps the file as a client does.
  [[nodiscard]] bool map(bool dont_fork = true) const {
    void* const page =
        ::mmap(nullptr, page_size_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
    return page != MAP_FAILED &&
           (!dont_fork || ::madvise(page, page_size_bytes(), MADV_DONTFORK) == 0);
  }

  // An image is taken down shortly after the process is seen to be dead: somebody may be reading
  // its /proc.
  [[nodiscard]] PresenceState wait_until_not_mapped() const {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    PresenceState answer = PresenceState::kMapped;
    while (answer == PresenceState::kMapped && std::chrono::steady_clock::now() < deadline) {
      answer = try_seal_presence(file_);
      ::sched_yield();
    }
    return answer;
  }

  Descriptor file_ = make_presence_file("presence_test").value();
  Pipe events_;
  Pipe orders_;
};

TEST_F(PresenceFile, HasNoPageAndTheModeOfItsUser) {
  EXPECT_EQ(status_of(file_).st_size, 0);
  EXPECT_EQ(status_of(file_).st_mode & 07777U, 0600U);
  EXPECT_EQ(::ftruncate(file_.get(), 1), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_FALSE(is_sealed_memfd(file_)) << "one more seal must be possible";
}

TEST_F(PresenceFile, IsMappedWhileItsProcessLivesAndGoneAfter) {
  ForkedChild child([&] {
    if (!map()) return 1;
    events_.put(1);
    return orders_.take() ? 0 : 1;
  });
  ASSERT_EQ(events_.take(), 1U);
  EXPECT_EQ(try_seal_presence(file_), PresenceState::kMapped);
  EXPECT_EQ(try_seal_presence(file_), PresenceState::kMapped) << "asking changes nothing";
  child.kill();
  EXPECT_EQ(wait_until_not_mapped(), PresenceState::kGone);
  EXPECT_EQ(try_seal_presence(file_), PresenceState::kGone) << "asking again is allowed";
}

TEST_F(PresenceFile, RefusesALateComerOnceGone) {
  EXPECT_EQ(try_seal_presence(file_), PresenceState::kGone) << "nobody mapped it yet";
  EXPECT_FALSE(map());
  EXPECT_EQ(errno, EPERM);
}

TEST_F(PresenceFile, IsGoneWhenTheProcessExecutesAnother) {
  ForkedChild child([&] {
    if (!map()) return 1;
    events_.put(1);
    // cat lives until orders_ is closed; events_ closes itself on exec.
    ::dup2(orders_.reader(), STDIN_FILENO);
    orders_.close_writer();
    ::execl("/bin/cat", "cat", nullptr);
    return 2;
  });
  events_.close_writer();
  ASSERT_EQ(events_.take(), 1U);
  ASSERT_TRUE(events_.wait_closed());
  EXPECT_EQ(wait_until_not_mapped(), PresenceState::kGone);
  EXPECT_EQ(::waitpid(child.pid(), nullptr, WNOHANG), 0) << "the process itself lives on";
  orders_.close_writer();
  EXPECT_EQ(child.wait(), test::exited(0));
}

TEST_F(PresenceFile, IsNotKeptByAForkedChild) {
  // Without DONTFORK the grandchild's copy keeps the file mapped: the test can see the difference.
  for (const bool dont_fork : {false, true}) {
    Pipe events;
    const Pipe orders;
    ForkedChild child([&] {
      if (!map(dont_fork)) return 1;
      const pid_t grandchild = ::fork();
      if (grandchild != 0) return grandchild > 0 ? 0 : 2;
      events.put(1);
      return orders.take() ? 0 : 1;
    });
    ASSERT_EQ(events.take(), 1U);
    ASSERT_EQ(child.wait(), test::exited(0));
    EXPECT_EQ(dont_fork ? wait_until_not_mapped() : try_seal_presence(file_),
              dont_fork ? PresenceState::kGone : PresenceState::kMapped);
    orders.put(1);
    events.close_writer();
    ASSERT_TRUE(events.wait_closed()) << "the grandchild has ended";
  }
}

TEST_F(PresenceFile, IsMappedWhileAnyProcessSharesTheImage) {
  if (test::kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer has no clone(CLONE_VM)";
  struct Pipes {
    Pipe* events;
    Pipe* orders;
  };
  Pipes pipes{&events_, &orders_};
  ForkedChild child([&] {
    if (!map()) return 1;
    static std::array<std::byte, std::size_t{256} * 1024> stack;
    // Like vfork's child: other process, same memory.
    const pid_t twin = ::clone(
        [](void* argument) -> int {
          const auto& [events, orders] = *static_cast<Pipes*>(argument);
          orders->close_writer();
          events->put(1);
          (void)orders->take();
          return 0;
        },
        stack.data() + stack.size(), CLONE_VM | SIGCHLD, &pipes);
    return twin > 0 && events_.take() == 1U ? 0 : 2;
  });
  ASSERT_EQ(child.wait(), test::exited(0)) << "the process that mapped it is dead and reaped";
  EXPECT_EQ(try_seal_presence(file_), PresenceState::kMapped);
  orders_.put(1);
  events_.close_writer();
  ASSERT_TRUE(events_.wait_closed());  // the twin's end closes its descriptors
  EXPECT_EQ(wait_until_not_mapped(), PresenceState::kGone);
}

TEST_F(PresenceFile, TellsWhenAClientSealedTheSeals) {
  ForkedChild child([&] {
    if (!map() || ::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_SEAL) != 0) return 1;
    events_.put(1);
    return orders_.take() ? 0 : 1;
  });
  ASSERT_EQ(events_.take(), 1U);
  EXPECT_EQ(try_seal_presence(file_), PresenceState::kTampered);
  child.kill();
  EXPECT_EQ(try_seal_presence(file_), PresenceState::kTampered) << "its pidfd must decide";
}

}  // namespace
}  // namespace allot::platform
