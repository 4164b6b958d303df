// How allotd knows its peers, with the kernel's new features and with the fallbacks; descriptors
// that peers try to hand it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iterator>
#include <string>

#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;

DaemonProcess::Options forced(const std::string& fallbacks) {
  return {.arguments = {"--force-fallback", fallbacks}};
}

TEST(PeerIdentity, ChallengeIsPutWhereTheKernelDoesNotNameThePeer) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, forced("peerpidfd"));
  RawClient client(daemon.client_socket());
  const auto challenge = client.request(make_hello()).as<protocol::Challenge>();
  RawClient second(daemon.client_socket());
  EXPECT_NE(second.request(make_hello()).as<protocol::Challenge>().nonce, challenge.nonce);
  const auto welcome = client.request(protocol::ChallengeAnswer{challenge.nonce});
  EXPECT_EQ(welcome.descriptors.size(), 4U);
  EXPECT_NO_THROW(welcome.as<protocol::Welcome>());
  EXPECT_NO_THROW(client.request(protocol::GrantRequest{1, 1, 1024, 1}).as<protocol::Granted>());
  EXPECT_EQ(client.hello().errc(), Errc::kSecondHello);
}

TEST(PeerIdentity, NothingButTheHelloNeedsAnAnswerToTheChallenge) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, forced("peerpidfd"));
  RawSession session(daemon.client_socket());
  RawClient client(daemon.client_socket());
  EXPECT_NO_THROW(client.request(session.watch_request()).as<protocol::Done>());
  EXPECT_EQ(client.request(protocol::GrantRequest{1, 1, 1024, 1}).errc(), Errc::kUnknownSession);
}

TEST(PeerIdentity, WrongNonceIsABadPeer) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, forced("peerpidfd"));
  RawClient client(daemon.client_socket());
  const auto challenge = client.request(make_hello()).as<protocol::Challenge>();
  EXPECT_EQ(client.request(protocol::ChallengeAnswer{challenge.nonce + 1}).errc(),
            Errc::kBadMessage);
  EXPECT_FALSE(client.receive().has_value());
  RawClient unasked(daemon.client_socket());
  EXPECT_EQ(unasked.request(protocol::ChallengeAnswer{0}).errc(), Errc::kBadMessage);
}

TEST(PeerIdentity, AnswerFromAnotherProcessIsRefused) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, forced("peerpidfd"));
  RawClient client(daemon.client_socket());
  const auto challenge = client.request(make_hello()).as<protocol::Challenge>();
  // A child that got the connection, and the nonce, is not who connected.
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(client.send({9, protocol::ChallengeAnswer{challenge.nonce}}) ? 0 : 1);
  }
  EXPECT_EQ(ChildProcess(child).wait(), 0);
  const auto refused = client.receive();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->errc(), Errc::kBadMessage);
  EXPECT_THAT(refused->describe(), HasSubstr("another process"));
  EXPECT_FALSE(client.receive().has_value());
}

TEST(PeerIdentity, DeathIsNoticedWithTheFallbacksToo) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, forced("peerpidfd,passrights"));
  RawSession watcher(daemon.client_socket());
  RawSession session(daemon.client_socket());
  session.grant(16).as<protocol::Granted>();
  watcher.client.request(session.watch_request()).as<protocol::Done>();
  session.client.close();
  EXPECT_NO_THROW(watcher.client.receive()->as<protocol::PeerGone>());
}

TEST(PeerIdentity, UnknownFallbackIsWrongUsage) {
  EXPECT_EQ(run_program({ALLOT_ALLOTD_PATH, "--force-fallback", "everything", "--check-config"})
                .exit_status,
            2);
}

TEST(PeerIdentity, PeerOfAnotherPidNamespaceIsRefusedWithTheReason) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make a pid namespace";
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH,
                             {.wrapper = {"/usr/bin/unshare", "--pid", "--fork", "--kill-child"}});
  RawClient client(daemon.client_socket());
  const auto refused = client.receive();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->errc(), Errc::kOtherPidNamespace);
  EXPECT_FALSE(client.receive().has_value());
}

std::optional<std::ptrdiff_t> open_descriptors(pid_t pid) {
  const std::filesystem::path path = "/proc/" + std::to_string(pid) + "/fd";
  if (::access(path.c_str(), R_OK) != 0) return std::nullopt;
  return std::distance(std::filesystem::directory_iterator(path),
                       std::filesystem::directory_iterator());
}

class HandedDescriptors : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(PeerIdentity, HandedDescriptors,
                         testing::Values("", "passrights", "peerpidfd,passrights"),
                         [](const auto& one) {
                           const std::string list = one.param;
                           return list.empty() ? std::string("Kernel")
                                               : std::to_string(list.size());
                         });

TEST_P(HandedDescriptors, AreRefusedAndNeverKept) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, forced(GetParam()));
  RawSession bystander(daemon.client_socket());
  const auto before = open_descriptors(daemon.pid());
  const std::vector<int> gifts(4, bystander.data.get());
  const auto hello = protocol::encode({1, make_hello()});
  for (int i = 0; i < 20; ++i) {
    RawClient giver(daemon.client_socket());
    // With SO_PASSRIGHTS=0 the kernel refuses at the sender; else the daemon drops the giver.
    if (!giver.send(hello, gifts)) continue;
    const auto answer = giver.receive();
    if (answer) {
      EXPECT_EQ(answer->errc(), Errc::kBadMessage) << answer->describe();
      EXPECT_FALSE(giver.receive().has_value());
    }
  }
  EXPECT_NO_THROW(bystander.grant(1).as<protocol::Granted>());
  if (!before) GTEST_SKIP() << "only root can look into a process that is not dumpable";
  ask_until(bystander.client, "no descriptor was kept",
            [&] { return open_descriptors(daemon.pid()) == before; });
}

}  // namespace
}  // namespace allot::test
