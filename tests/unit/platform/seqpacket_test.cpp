#include "shared/platform/seqpacket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
#include "tests/support/forked_child.hpp"

namespace allot::platform {
namespace {

using namespace std::chrono_literals;
using test::ForkedChild;

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

TEST(Seqpacket, HangUpIsSeenBesideWhatIsStillToBeRead) {
  Pair pair = make_pair();
  ASSERT_TRUE(send_message(pair.left, bytes_of("x")));
  EXPECT_FALSE(has_hung_up(pair.right));
  pair.left.reset();
  EXPECT_TRUE(has_hung_up(pair.right));
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
