#include "daemon/service_manager.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "daemon/descriptor_name.hpp"
#include "shared/platform/memfd.hpp"
#include "shared/platform/seqpacket.hpp"

namespace allot::daemon {
namespace {

struct Notification {
  std::string text;
  std::vector<platform::Descriptor> descriptors;
};

// What a service manager has: a datagram socket, with an abstract name that the kernel chose.
class ListeningManager {
 public:
  ListeningManager() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                     sizeof(address.sun_family)),
              0);
    socklen_t length = sizeof(address);
    EXPECT_EQ(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
    name_.assign(&address.sun_path[0], length - offsetof(sockaddr_un, sun_path));
    name_[0] = '@';
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  void close() { socket_.reset(); }

  // The next message, if there is one.
  std::optional<Notification> receive() {
    std::array<std::byte, 1024> buffer{};
    auto received = platform::receive_message(socket_, buffer, platform::Descriptors::kAccept);
    if (!received) return std::nullopt;
    Notification message;
    message.text.assign(reinterpret_cast<const char*>(buffer.data()), received->size_bytes);
    for (std::size_t i = 0; i < received->descriptor_count; ++i) {
      message.descriptors.push_back(std::move(received->descriptors.at(i)));
    }
    return message;
  }

 private:
  platform::Descriptor socket_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  std::string name_;
};

class ServiceManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("NOTIFY_SOCKET", listening_.name().c_str(), 1);
    ::setenv("FDSTORE", "100", 1);
    auto timers = Timers::create(context_);
    ASSERT_TRUE(timers);
    timers_ = std::move(*timers);
  }
  void TearDown() override {
    for (const char* const name : {"NOTIFY_SOCKET", "FDSTORE", "WATCHDOG_USEC"}) ::unsetenv(name);
  }

  ServiceManager& manager() {
    if (!manager_) manager_ = std::make_unique<ServiceManager>(context_, *timers_);
    return *manager_;
  }

  // Runs the loop until `condition`; each turn waits for an event.
  template <class Condition>
  void run_until(const Condition& condition) {
    while (!condition()) ASSERT_GT(context_.run_one_for(std::chrono::seconds(20)), 0U);
  }

  // The next message; the loop runs until it is there.
  Notification receive() {
    std::optional<Notification> message;
    run_until([&] { return (message = listening_.receive()).has_value(); });
    return message ? std::move(*message) : Notification();
  }

  ListeningManager listening_;
  boost::asio::io_context context_;
  std::unique_ptr<Timers> timers_;
  std::unique_ptr<ServiceManager> manager_;
};

bool is_same_file(int one, int other) {
  struct stat first {};
  struct stat second {};
  return ::fstat(one, &first) == 0 && ::fstat(other, &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

TEST_F(ServiceManagerTest, StoresADescriptorUnderItsName) {
  const auto file = platform::make_sealed_memfd("stored", 4096);
  ASSERT_TRUE(file);
  manager().store("region.default-0", file->get());
  const Notification stored = receive();
  EXPECT_EQ(stored.text, "FDSTORE=1\nFDNAME=region.default-0\nFDPOLL=0");
  ASSERT_EQ(stored.descriptors.size(), 1U);
  EXPECT_TRUE(is_same_file(stored.descriptors[0].get(), file->get()));
  manager().remove("region.default-0");
  EXPECT_EQ(receive().text, "FDSTOREREMOVE=1\nFDNAME=region.default-0");
}

TEST_F(ServiceManagerTest, WhatDoesNotFitWaitsInOrderWithItsDescriptor) {
  constexpr int kMessages = 600;  // more than any queue of datagrams holds
  for (int i = 0; i < kMessages; ++i) {
    const auto file =
        platform::make_sealed_memfd("stored", std::uint64_t{4096} * static_cast<unsigned>(i + 1));
    ASSERT_TRUE(file);
    manager().store("file-" + std::to_string(i), file->get());  // the caller's is closed at once
  }
  manager().ready("serving");
  for (int i = 0; i < kMessages; ++i) {
    const Notification stored = receive();
    ASSERT_EQ(stored.text, "FDSTORE=1\nFDNAME=file-" + std::to_string(i) + "\nFDPOLL=0");
    ASSERT_EQ(stored.descriptors.size(), 1U);
    struct stat status {};
    ASSERT_EQ(::fstat(stored.descriptors[0].get(), &status), 0);
    ASSERT_EQ(status.st_size, 4096 * (i + 1));
  }
  EXPECT_EQ(receive().text, "READY=1\nSTATUS=serving");
}

TEST_F(ServiceManagerTest, ABarrierIsReachedWhenTheOtherSideClosesItsDescriptor) {
  std::vector<int> reached;
  for (const int number : {1, 2}) {
    manager().barrier([&reached, number](const Expected<void>& result) {
      EXPECT_TRUE(result);
      reached.push_back(number);
    });
  }
  Notification first = receive();
  Notification second = receive();
  EXPECT_EQ(first.text, "BARRIER=1");
  ASSERT_EQ(first.descriptors.size(), 1U);
  ASSERT_EQ(second.descriptors.size(), 1U);
  context_.poll();
  EXPECT_THAT(reached, testing::IsEmpty());
  second.descriptors.clear();
  run_until([&] { return !reached.empty(); });
  context_.poll();
  EXPECT_THAT(reached, testing::ElementsAre(2));
  first.descriptors.clear();
  run_until([&] { return reached.size() == 2; });
}

TEST_F(ServiceManagerTest, ABarrierThatIsNotAnsweredEndsWithItsDeadline) {
  std::optional<Error> error;
  manager().barrier([&](const Expected<void>& result) { error = result.error(); });
  const Notification kept = receive();
  run_until([&] { return error.has_value(); });
  EXPECT_EQ(error->code, Errc::kDeadline) << error->message();
}

TEST_F(ServiceManagerTest, ABarrierAfterARefusedMessageFails) {
  manager().store("lost", 1 << 20);
  std::optional<Error> error;
  manager().barrier([&](const Expected<void>& result) { error = result.error(); });
  EXPECT_FALSE(error);  // from the loop only
  run_until([&] { return error.has_value(); });
  EXPECT_EQ(error->code, std::errc::bad_file_descriptor) << error->message();
}

TEST_F(ServiceManagerTest, OneThatEndedHasNoStoreAnyMore) {
  EXPECT_TRUE(manager().has_store());
  listening_.close();
  bool reached = false;
  manager().barrier([&](const Expected<void>& result) { reached = result.has_value(); });
  EXPECT_FALSE(reached);  // from the loop only
  run_until([&] { return reached; });
  EXPECT_FALSE(manager().has_store());
}

TEST_F(ServiceManagerTest, WithoutAServiceManagerEachCallDoesNothingAndABarrierIsReached) {
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(manager().has_store());
  EXPECT_EQ(manager().store_capacity(), 0U);
  manager().store("name", STDERR_FILENO);
  manager().remove("name");
  manager().ready("serving");
  manager().stopping();
  bool reached = false;
  manager().barrier([&](const Expected<void>& result) { reached = result.has_value(); });
  EXPECT_FALSE(reached);  // from the loop only
  run_until([&] { return reached; });
}

TEST_F(ServiceManagerTest, WithoutAStoreOnlyTheStateIsTold) {
  for (const char* const none : {"0", "", "many", "-1", "1x"}) {
    ::setenv("FDSTORE", none, 1);
    manager_.reset();
    EXPECT_FALSE(manager().has_store()) << none;
  }
  manager().store("name", STDERR_FILENO);
  manager().ready("serving");
  EXPECT_EQ(receive().text, "READY=1\nSTATUS=serving");
}

TEST_F(ServiceManagerTest, TheCapacityIsThatOfTheEnvironment) {
  EXPECT_TRUE(manager().has_store());
  EXPECT_EQ(manager().store_capacity(), 100U);
}

TEST_F(ServiceManagerTest, ASocketThatIsNotThereIsNoServiceManager) {
  for (const char* const wrong : {"/nonexistent/notify", "vsock:2:1", "relative"}) {
    ::setenv("NOTIFY_SOCKET", wrong, 1);
    manager_.reset();
    EXPECT_FALSE(manager().has_store()) << wrong;
    manager().ready("serving");
  }
}

TEST(DescriptorName, IsOfLettersDigitsAndThreeMore) {
  EXPECT_TRUE(is_descriptor_name("region.default-0_A"));
  for (const char* const wrong : {"", "a b", "a:b", "a\nb", "a/b", "\xc3\xa4"}) {
    EXPECT_FALSE(is_descriptor_name(wrong)) << wrong;
  }
  EXPECT_TRUE(is_descriptor_name(std::string(255, 'a')));
  EXPECT_FALSE(is_descriptor_name(std::string(256, 'a')));
}

}  // namespace
}  // namespace allot::daemon
