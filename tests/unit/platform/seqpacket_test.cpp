#include "shared/platform/seqpacket.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
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

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

Deadline soon() { return std::chrono::steady_clock::now() + 10s; }

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    count += entry.is_symlink() ? 1U : 0U;
  }
  return count;
}

struct Pair {
  Descriptor left;
  Descriptor right;
};

Pair make_pair() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

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

// ---- Messages

TEST(Seqpacket, KeepsMessagesWhole) {
  const Pair pair = make_pair();
  ASSERT_TRUE(send_message(pair.left, bytes_of("one")));
  ASSERT_TRUE(send_message(pair.left, bytes_of("three")));
  std::array<std::byte, 64> buffer{};
  for (const std::string_view expected : {"one", "three"}) {
    const auto got = receive_message(pair.right, buffer, Descriptors::kAccept);
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(got->size_bytes, expected.size());
    EXPECT_EQ(std::memcmp(buffer.data(), expected.data(), expected.size()), 0);
    EXPECT_FALSE(got->truncated);
    EXPECT_FALSE(got->sender);
    EXPECT_EQ(got->descriptor_count, 0U);
  }
}

TEST(Seqpacket, SaysWhenAMessageWasTooLong) {
  const Pair pair = make_pair();
  ASSERT_TRUE(send_message(pair.left, bytes_of("four")));
  ASSERT_TRUE(send_message(pair.left, bytes_of("next")));
  std::array<std::byte, 3> small{};
  const auto got = receive_message(pair.right, small, Descriptors::kAccept);
  ASSERT_TRUE(got);
  EXPECT_TRUE(got->truncated);
  EXPECT_EQ(got->size_bytes, 3U);
  std::array<std::byte, 4> exact{};
  const auto next = receive_message(pair.right, exact, Descriptors::kAccept);
  ASSERT_TRUE(next);
  EXPECT_FALSE(next->truncated) << "the rest of the first is gone";
  EXPECT_EQ(std::memcmp(exact.data(), "next", 4), 0);
}

TEST(Seqpacket, NeverBlocks) {
  const Pair pair = make_pair();
  std::array<std::byte, 1024> buffer{};
  const auto nothing = receive_message(pair.right, buffer, Descriptors::kAccept);
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, std::errc::resource_unavailable_try_again);

  Expected<void> sent;
  for (int i = 0; i < 1'000'000 && sent; ++i) sent = send_message(pair.left, buffer);
  ASSERT_FALSE(sent) << "nobody reads: the queue must be full at some time";
  EXPECT_EQ(sent.error().code, std::errc::resource_unavailable_try_again);
}

TEST(Seqpacket, WaitsForRoomUntilTheDeadlineAndNoLonger) {
  const Pair pair = make_pair();
  std::array<std::byte, 1024> buffer{};
  EXPECT_TRUE(wait_writable(pair.left, Deadline::min())) << "there is room";
  while (send_message(pair.left, buffer)) {
  }
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(wait_writable(pair.left, Deadline::min()).error(), Errc::kDeadline);
  EXPECT_EQ(wait_writable(pair.left, begin + 20ms).error(), Errc::kDeadline);
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);

  ForkedChild reader([&] {
    std::array<std::byte, 1024> got{};
    while (receive_message(pair.right, got, Descriptors::kAccept)) {
    }
    return 0;
  });
  EXPECT_TRUE(wait_writable(pair.left, soon()));
  EXPECT_TRUE(send_message(pair.left, buffer));
  EXPECT_EQ(reader.wait(), test::exited(0));
}

TEST(Seqpacket, ReportsAPeerThatClosed) {
  Pair pair = make_pair();
  ASSERT_TRUE(send_message(pair.left, bytes_of("last")));
  pair.left.reset();
  std::array<std::byte, 16> buffer{};
  const auto last = receive_message(pair.right, buffer, Descriptors::kAccept);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->size_bytes, 4U) << "what was sent before comes first";
  const auto closed = receive_message(pair.right, buffer, Descriptors::kAccept);
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->size_bytes, 0U);
  const auto ending = test::run_in_child([&] {  // a SIGPIPE would end it
    const auto sent = send_message(pair.right, bytes_of("x"));
    return !sent && sent.error().code == std::errc::broken_pipe ? 0 : 1;
  });
  EXPECT_EQ(ending, test::exited(0));
}

TEST(Seqpacket, WaitsUntilTheDeadlineAndNoLonger) {
  const Pair pair = make_pair();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(wait_readable(pair.right, begin - 1s).error(), Errc::kDeadline);
  EXPECT_EQ(wait_readable(pair.right, begin + 20ms).error(), Errc::kDeadline);
  EXPECT_GE(std::chrono::steady_clock::now(), begin + 20ms);

  ASSERT_TRUE(send_message(pair.left, bytes_of("x")));
  EXPECT_TRUE(wait_readable(pair.right, begin - 1s)) << "a message that is there is no timeout";
}

TEST(Seqpacket, WakesAWaiterForAMessageAndForAnEnd) {
  Pair pair = make_pair();
  ForkedChild child([&] {
    pair.right.reset();
    return send_message(pair.left, bytes_of("x")) ? 0 : 1;
  });
  pair.left.reset();
  EXPECT_TRUE(wait_readable(pair.right, soon()));
  std::array<std::byte, 16> buffer{};
  EXPECT_EQ(receive_message(pair.right, buffer, Descriptors::kAccept).value().size_bytes, 1U);
  EXPECT_TRUE(wait_readable(pair.right, soon()));
  EXPECT_EQ(receive_message(pair.right, buffer, Descriptors::kAccept).value().size_bytes, 0U);
}

// ---- Credentials

TEST(Seqpacket, AttachesTheSendersCredentialsToEachMessage) {
  const Pair pair = make_pair();
  ASSERT_TRUE(ask_for_credentials(pair.right));
  ForkedChild child([&] { return send_message(pair.left, bytes_of("child")) ? 0 : 1; });
  const pid_t pid = child.pid();
  ASSERT_EQ(child.wait(), test::exited(0));
  ASSERT_TRUE(send_message(pair.left, bytes_of("parent")));
  std::array<std::byte, 16> buffer{};
  for (const pid_t sender : {pid, ::getpid()}) {
    const auto got = receive_message(pair.right, buffer, Descriptors::kRefuse);
    ASSERT_TRUE(got);
    ASSERT_TRUE(got->sender) << "one socket, two senders: each message says whose it is";
    EXPECT_EQ(got->sender->pid, sender);
    EXPECT_EQ(got->sender->uid, ::geteuid());
    EXPECT_EQ(got->sender->gid, ::getegid());
    EXPECT_FALSE(got->truncated);
  }
}

// ---- Descriptors

// Sends by the kernel's interface, with as many descriptors as a hostile peer likes.
bool send_raw(const Descriptor& socket, const std::vector<int>& descriptors) {
  char letter = 'x';
  iovec data{&letter, 1};
  std::vector<std::byte> control(CMSG_SPACE(descriptors.size() * sizeof(int)));
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* const entry = CMSG_FIRSTHDR(&header);
  entry->cmsg_level = SOL_SOCKET;
  entry->cmsg_type = SCM_RIGHTS;
  entry->cmsg_len = CMSG_LEN(descriptors.size() * sizeof(int));
  std::memcpy(CMSG_DATA(entry), descriptors.data(), descriptors.size() * sizeof(int));
  return ::sendmsg(socket.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

TEST(Seqpacket, PassesDescriptorsInOrderCloseOnExec) {
  const Pair pair = make_pair();
  std::vector<Descriptor> files;
  std::vector<int> numbers;
  for (std::size_t i = 0; i < kMaxPassedDescriptors; ++i) {
    files.push_back(make_sealed_memfd("passed", 4096 * (i + 1)).value());
    numbers.push_back(files.back().get());
  }
  ASSERT_TRUE(send_message(pair.left, bytes_of("files"), numbers));
  files.clear();
  std::array<std::byte, 16> buffer{};
  const auto got = receive_message(pair.right, buffer, Descriptors::kAccept);
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_FALSE(got->truncated);
  ASSERT_EQ(got->descriptor_count, kMaxPassedDescriptors);
  for (std::size_t i = 0; i < kMaxPassedDescriptors; ++i) {
    struct stat status {};
    ASSERT_EQ(::fstat(got->descriptors.at(i).get(), &status), 0);
    EXPECT_EQ(status.st_size, static_cast<off_t>(4096 * (i + 1)));
    EXPECT_EQ(::fcntl(got->descriptors.at(i).get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST(Seqpacket, SendsNoMoreDescriptorsThanAMessageHolds) {
  const Pair pair = make_pair();
  const std::vector<int> many(kMaxPassedDescriptors + 1, pair.left.get());
  EXPECT_EQ(send_message(pair.left, bytes_of("x"), many).error(), Errc::kBadArgument);
  std::array<std::byte, 16> buffer{};
  EXPECT_FALSE(receive_message(pair.right, buffer, Descriptors::kAccept)) << "nothing was sent";
}

// Whatever a peer attaches: the message says it was truncated and no descriptor stays open.
TEST(Seqpacket, KeepsNoDescriptorBeyondWhatItAccepts) {
  for (const bool with_credentials : {false, true}) {
    for (const std::size_t count : {9U, 16U, 17U, 253U}) {
      SCOPED_TRACE(count);
      const Pair pair = make_pair();
      if (with_credentials) {
        ASSERT_TRUE(ask_for_credentials(pair.right));
      }
      const std::size_t before = open_descriptors();
      ASSERT_TRUE(send_raw(pair.left, std::vector<int>(count, pair.left.get())));
      std::array<std::byte, 16> buffer{};
      {
        const auto got = receive_message(pair.right, buffer, Descriptors::kAccept);
        ASSERT_TRUE(got);
        EXPECT_TRUE(got->truncated);
        EXPECT_EQ(got->descriptor_count, kMaxPassedDescriptors);
      }
      EXPECT_EQ(open_descriptors(), before);
    }
  }
}

TEST(Seqpacket, RefusingTakesNoDescriptor) {
  for (const bool with_credentials : {false, true}) {
    for (const std::size_t count : {1U, 4U, 8U, 253U}) {
      SCOPED_TRACE(count);
      const Pair pair = make_pair();
      if (with_credentials) {
        ASSERT_TRUE(ask_for_credentials(pair.right));
      }
      const std::size_t before = open_descriptors();
      ASSERT_TRUE(send_raw(pair.left, std::vector<int>(count, pair.left.get())));
      std::array<std::byte, 16> buffer{};
      const auto got = receive_message(pair.right, buffer, Descriptors::kRefuse);
      ASSERT_TRUE(got);
      EXPECT_TRUE(got->truncated);
      EXPECT_EQ(got->descriptor_count, 0U);
      EXPECT_EQ(got->sender.has_value(), with_credentials);
      EXPECT_EQ(open_descriptors(), before);
    }
  }
}

TEST(Seqpacket, RefusesDescriptorsAtTheSenderWhereTheKernelCan) {
  const Pair pair = make_pair();
  if (!refuse_descriptors(pair.right)) GTEST_SKIP() << "SO_PASSRIGHTS came with Linux 6.16";
  EXPECT_FALSE(send_raw(pair.left, {pair.left.get()}));
  EXPECT_EQ(errno, EPERM);
  EXPECT_TRUE(send_message(pair.left, bytes_of("x"))) << "messages without any still pass";
  EXPECT_TRUE(send_raw(pair.right, {pair.left.get()})) << "and descriptors in our direction";
}

}  // namespace
}  // namespace allot::platform
