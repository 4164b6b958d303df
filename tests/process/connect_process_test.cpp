// Session::connect(): where it looks, what it gives, what it says if there is nobody or nobody answers.

#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/platform/seqpacket.hpp"
#include "tests/support/daemon_with_deadline.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

class Connect : public test::DaemonWithDeadline {};

TEST_F(Connect, ConnectingToAStoppedDaemonIsLate) {
  daemon().signal(SIGSTOP);
  expect_in_time([&] { EXPECT_EQ(Session::connect(options()).error().errc(), Errc::kDeadline); });
  // Again and again, also when nobody else fits into the queue of connections.
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Session::connect(options(std::chrono::milliseconds(10))).error().errc(),
              Errc::kDeadline);
  }
  daemon().signal(SIGCONT);
  Session session = connect(test::kPatience);
  EXPECT_EQ(session.free(session.allocate(100)), Errc::kOk);
}

TEST_F(Connect, ConnectingToAFullQueueIsLate) {
  const test::TemporaryDir directory;
  const auto path = directory.path() / "client.sock";
  const auto listening = platform::listen_seqpacket(path, 0600, 0).value();
  std::vector<platform::Descriptor> queued;
  // Fills the queue without waiting for room.
  for (int i = 0; i < 10; ++i) {
    platform::Descriptor socket(
        ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.native().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
        0) {
      break;
    }
    queued.push_back(std::move(socket));
  }
  ConnectOptions late = test::options_for(path);
  late.deadline = kShort;
  expect_in_time([&] { EXPECT_EQ(Session::connect(late).error().errc(), Errc::kDeadline); });
}

TEST_F(Connect, WithoutADaemonConnectSaysWhereItLooked) {
  const test::TemporaryDir directory;
  ConnectOptions nowhere = test::options_for(directory.path() / "client.sock");
  auto refused = Session::connect(nowhere);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().errc(), Errc::kNoDaemon);
  EXPECT_NE(refused.error().detail.find(nowhere.socket_path.native()), std::string::npos)
      << refused.error().message();

  ::setenv("ALLOT_RUNTIME_DIR", directory.path().c_str(), 1);
  refused = Session::connect();
  EXPECT_EQ(refused.error().errc(), Errc::kNoDaemon);
  EXPECT_NE(refused.error().detail.find(directory.path().native()), std::string::npos);
  EXPECT_NE(refused.error().detail.find("systemctl start allotd"), std::string::npos);

  ::setenv("ALLOT_RUNTIME_DIR", daemon().runtime_dir().c_str(), 1);
  EXPECT_TRUE(Session::connect().has_value());
  ::unsetenv("ALLOT_RUNTIME_DIR");

  ConnectOptions unknown = options();
  unknown.region = "nowhere";
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kUnknownRegion);
  unknown.region = "not a name";
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kBadName);
  unknown.region = std::string(200, 'x');
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kBadName);
  unknown = options();
  unknown.socket_path = std::string(300, 'x');
  EXPECT_EQ(Session::connect(unknown).error().errc(), Errc::kNoDaemon);
}

TEST_F(Connect, ASecondConnectGivesTheSameSession) {
  Session first = connect();
  Session second = connect();
  EXPECT_TRUE(first == second);
  EXPECT_EQ(first.id(), second.id());
  void* const block = first.allocate(100);
  EXPECT_EQ(second.free(block), Errc::kOk);
  first.close();
  EXPECT_EQ(second.allocate(100), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kClosed);
  Session third = connect();
  EXPECT_FALSE(third == first);
  EXPECT_NE(third.id(), first.id());
  EXPECT_EQ(third.free(third.allocate(100)), Errc::kOk);

  // Of many threads at once too.
  third.close();
  std::vector<std::optional<Session>> sessions(8);
  test::run_threads(8, [&](std::size_t i) { sessions[i] = connect(test::kPatience); });
  for (const auto& one : sessions) EXPECT_TRUE(*one == *sessions[0]);
}

}  // namespace
}  // namespace allot
