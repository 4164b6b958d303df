#include "daemon/daemon_messages.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "daemon/timers.hpp"
#include "tests/support/temp_dir.hpp"

namespace allot::daemon {
namespace {

class DaemonMessagesTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto path = directory_.path() / "notify";
    auto listener = listen_for_notifications(path);
    ASSERT_TRUE(listener);
    auto timers = Timers::create(context_);
    ASSERT_TRUE(timers);
    timers_ = std::move(*timers);
    ::unsetenv("NOTIFY_SOCKET");
    own_manager_ = std::make_unique<NotifySocket>(context_, *timers_);
    messages_ = std::make_unique<DaemonMessages>(context_, std::move(*listener), *own_manager_,
                                                 [this] { ++ready_; });
    messages_->listen_to(::getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.native().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
    ASSERT_EQ(
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  }

  // Sends `text` with `count` writing ends of one pipe; they are closed if its reading end hangs up.
  platform::Descriptor send(const std::string& text, std::size_t count) {
    std::array<int, 2> ends{-1, -1};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
    platform::Descriptor reading(ends[0]);
    const platform::Descriptor writing(ends[1]);
    const std::vector<int> descriptors(count, writing.get());
    std::vector<std::byte> control(CMSG_SPACE(count * sizeof(int)));
    iovec data{const_cast<char*>(text.data()), text.size()};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(entry), descriptors.data(), count * sizeof(int));
    EXPECT_GT(::sendmsg(socket_.get(), &header, 0), 0);
    messages_->drain();
    return reading;
  }

  static bool is_closed(const platform::Descriptor& reading) {
    char byte = 0;
    return ::read(reading.get(), &byte, 1) == 0;  // otherwise EAGAIN
  }

  test::TempDir directory_;
  boost::asio::io_context context_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<NotifySocket> own_manager_;
  std::unique_ptr<DaemonMessages> messages_;
  platform::Descriptor socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  int ready_ = 0;
};

TEST_F(DaemonMessagesTest, KeepsByNameUntilRemoved) {
  const auto first = send("FDSTORE=1\nFDNAME=a\nFDPOLL=0", 1);
  const auto second = send("FDSTORE=1\nFDNAME=b", 1);
  const auto third = send("FDSTORE=1\nFDNAME=a", 1);
  const auto unnamed = send("FDSTORE=1", 1);
  EXPECT_EQ(messages_->store().name_list(), "a:a:b:stored");
  EXPECT_EQ(messages_->store().descriptors().size(), 4U);
  send("FDSTOREREMOVE=1\nFDNAME=a", 1);
  EXPECT_EQ(messages_->store().name_list(), "b:stored");
  EXPECT_TRUE(is_closed(first));
  EXPECT_TRUE(is_closed(third));
  EXPECT_FALSE(is_closed(second));
  EXPECT_FALSE(is_closed(unnamed));
}

TEST_F(DaemonMessagesTest, TakesAsManyDescriptorsAsAMessageHolds) {
  const auto reading = send("FDSTORE=1\nFDNAME=many", 253);
  EXPECT_EQ(messages_->store().size(), 253U);
  EXPECT_FALSE(is_closed(reading));
  send("FDSTOREREMOVE=1\nFDNAME=many", 1);
  EXPECT_EQ(messages_->store().size(), 0U);
  EXPECT_TRUE(is_closed(reading));
}

TEST_F(DaemonMessagesTest, ClosesABarrierAndWhatComesWithAWrongMessage) {
  EXPECT_TRUE(is_closed(send("BARRIER=1", 1)));
  EXPECT_TRUE(is_closed(send("FDSTORE=1\nFDNAME=a:b", 253)));
  EXPECT_TRUE(is_closed(send("FDSTORE=1\nFDNAME=", 2)));
  EXPECT_TRUE(is_closed(send("nonsense", 3)));
  EXPECT_TRUE(is_closed(send("FDSTORE=1\nX=" + std::string(5000, 'x'), 1)));  // cut off
  EXPECT_EQ(messages_->store().size(), 0U);
}

TEST_F(DaemonMessagesTest, OnlyItsDaemonIsHeard) {
  messages_->listen_to(::getppid());
  EXPECT_TRUE(is_closed(send("FDSTORE=1\nREADY=1", 1)));
  EXPECT_TRUE(is_closed(send("READY=1", 1)));
  EXPECT_EQ(ready_, 0);
  messages_->listen_to(::getpid());
  EXPECT_TRUE(is_closed(send("READY=1\nSTATUS=serving", 1)));
  EXPECT_EQ(ready_, 1);
}

TEST(DescriptorStore, IsFullByNumberOrByTheLengthOfItsNames) {
  DescriptorStore store;
  const std::string name(200, 'n');
  while (store.add(name, platform::Descriptor())) {
  }
  EXPECT_EQ(store.name_list().size(), store.size() * 201 - 1);
  EXPECT_GT(store.size() * 201, DescriptorStore::kMaxNameListBytes - 201);
  store.remove(name);
  EXPECT_EQ(store.size(), 0U);
  while (store.add("n", platform::Descriptor())) {
  }
  EXPECT_EQ(store.size(), DescriptorStore::kCapacity);
}

}  // namespace
}  // namespace allot::daemon
