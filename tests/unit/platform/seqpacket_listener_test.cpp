#include "shared/platform/seqpacket.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/pidfd.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/refused_syscall.hpp"
#include "tests/support/temp_dir.hpp"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

namespace allot::platform {
namespace {

using namespace std::chrono_literals;
using test::ForkedChild;
using test::Pipe;

Deadline soon() { return std::chrono::steady_clock::now() + 10s; }

class SeqpacketListener : public testing::Test {
 protected:
  [[nodiscard]] Descriptor accept() const {
    EXPECT_TRUE(wait_readable(listener_, soon()));
    return Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }

  test::TempDir directory_;
  std::filesystem::path path_ = directory_.path() / "socket";
  Descriptor listener_ = listen_seqpacket(path_, 0640, 4).value();
};

TEST_F(SeqpacketListener, HasTheModeAskedFor) {
  struct stat status {};
  ASSERT_EQ(::stat(path_.c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777U, 0640U);
  EXPECT_EQ(::fcntl(listener_.get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(SeqpacketListener, RefusesAPathThatExists) {
  const auto second = listen_seqpacket(path_, 0640, 4);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
  EXPECT_EQ(second.error().detail, "bind(" + path_.native() + ")");
}

TEST_F(SeqpacketListener, SaysWhereNobodyListens) {
  const std::filesystem::path nowhere = directory_.path() / "nowhere";
  const auto none = connect_seqpacket(nowhere);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, std::errc::no_such_file_or_directory);
  EXPECT_EQ(none.error().detail, "connect(" + nowhere.native() + ")");

  listener_.reset();
  const auto dead = connect_seqpacket(path_);
  ASSERT_FALSE(dead) << "the socket's file outlives its listener";
  EXPECT_EQ(dead.error().code, std::errc::connection_refused);
}

TEST_F(SeqpacketListener, RefusesPathsThatDoNotFitAnAddress) {
  for (const std::size_t length : {std::size_t{0}, std::size_t{108}, std::size_t{5000}}) {
    const std::filesystem::path path(std::string(length, 'x'));
    EXPECT_EQ(connect_seqpacket(path).error(), Errc::kBadArgument) << length;
    EXPECT_EQ(listen_seqpacket(path, 0600, 1).error(), Errc::kBadArgument) << length;
  }
  // 107 bytes and the final NUL are the most.
  std::string longest = (directory_.path() / "").native();
  longest.append(107 - longest.size(), 'x');
  const auto listener = listen_seqpacket(longest, 0600, 1);
  EXPECT_TRUE(listener);
  EXPECT_TRUE(connect_seqpacket(longest));
}

TEST_F(SeqpacketListener, GivesUpConnectingAtTheDeadline) {
  const std::filesystem::path crowded = directory_.path() / "crowded";
  const Descriptor listener = listen_seqpacket(crowded, 0600, 0).value();
  std::vector<Descriptor> waiting;  // for an accept() that does not come
  Expected<Descriptor> last = connect_seqpacket(crowded, soon());
  auto begin = std::chrono::steady_clock::now();
  while (last && waiting.size() < 100) {
    waiting.push_back(std::move(*last));
    begin = std::chrono::steady_clock::now();
    last = connect_seqpacket(crowded, begin + 20ms);
  }
  ASSERT_FALSE(last) << "nobody accepts: the queue must be full at some time";
  EXPECT_EQ(last.error(), Errc::kDeadline);
  EXPECT_EQ(last.error().detail, crowded.native());
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);
  EXPECT_EQ(connect_seqpacket(crowded, begin).error(), Errc::kDeadline) << "it has passed already";
}

TEST_F(SeqpacketListener, KnowsItsPeerByTheKernel) {
  Pipe done;
  ForkedChild child([&] {
    done.close_writer();
    const auto socket = connect_seqpacket(path_);
    return socket && done.take() ? 1 : 0;
  });
  const Descriptor connection = accept();
  const auto peer = peer_credentials(connection);
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_EQ(peer->pid, child.pid());
  EXPECT_EQ(peer->uid, ::geteuid());
  EXPECT_EQ(peer->gid, ::getegid());

  const auto pidfd = peer_pidfd(connection);
  ASSERT_TRUE(pidfd) << pidfd.error().message();
  EXPECT_FALSE(has_exited(pidfd->pidfd));
  EXPECT_EQ(::fcntl(pidfd->pidfd.get(), F_GETFD), FD_CLOEXEC);
  done.close_writer();
  EXPECT_EQ(child.wait(), test::exited(0));
  EXPECT_TRUE(has_exited(pidfd->pidfd));

  // Reaped: where the kernel ties the pidfd to the connection it still answers, else there is none.
  const auto late = peer_pidfd(connection);
  if (pidfd->race_free && late) {
    EXPECT_TRUE(has_exited(late->pidfd));
  } else {
    EXPECT_FALSE(late) << "a number that nobody has";
  }
}

// Makes this process a kernel before 6.5.
bool forget_peer_pidfd() {
  constexpr test::ArgumentTest kPeerPidfd{test::ArgumentTest::Kind::kEquals, 2, SO_PEERPIDFD};
  return test::refuse_syscall(SYS_getsockopt, ENOPROTOOPT, kPeerPidfd);
}

TEST_F(SeqpacketListener, FindsItsPeerByNumberWhereTheKernelHasNoBetterWay) {
  const Descriptor socket = connect_seqpacket(path_).value();
  const auto ending = test::run_in_child([&] {
    const Descriptor connection = accept();
    if (!forget_peer_pidfd()) return test::kSkipped;
    const auto peer = peer_pidfd(connection);  // the parent
    if (!peer || peer->race_free) return 1;
    return has_exited(peer->pidfd) ? 2 : 0;
  });
  if (ending == test::exited(test::kSkipped)) GTEST_SKIP() << "no seccomp filter here";
  EXPECT_EQ(ending, test::exited(0));
}

TEST_F(SeqpacketListener, HasNoNumberForAPeerOfAnotherPidNamespace) {
  const Descriptor socket = connect_seqpacket(path_).value();
  const auto ending = test::run_in_child([&] {
    if (::unshare(CLONE_NEWPID) != 0) return test::kSkipped;
    const auto inside = test::run_in_child([&] {  // number 1 of a namespace; the peer is outside
      const Descriptor connection = accept();
      const auto peer = peer_credentials(connection);
      if (!peer || peer->pid != 0) return 1;
      if (!forget_peer_pidfd()) return test::kSkipped;
      const auto pidfd = peer_pidfd(connection);
      return !pidfd && pidfd.error().errc() == Errc::kOtherPidNamespace ? 0 : 2;
    });
    return inside.exit_status;
  });
  if (ending == test::exited(test::kSkipped)) GTEST_SKIP() << "no right to make a pid namespace";
  EXPECT_EQ(ending, test::exited(0));
}

}  // namespace
}  // namespace allot::platform
