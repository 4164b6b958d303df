// Each limit of the configuration acts, and its refusal names it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;

constexpr std::uint32_t kMiBGranules = 16;

DaemonProcess::Options with_region(const std::string& limits) {
  return {.config = "[[region]]\nname = \"default\"\n" + limits};
}

struct GrantLimit {
  const char* name;
  const char* config;
  Errc errc;
  const char* said;
};

// Each admits a grant of 1 MiB to the first session, and no second one to the other.
class GrantLimits : public testing::TestWithParam<GrantLimit> {};
INSTANTIATE_TEST_SUITE_P(DaemonLimits, GrantLimits,
                         testing::Values(GrantLimit{"Uid", "uid_quota_bytes = \"1 MiB\"\n",
                                                    Errc::kUidQuota, "uid_quota_bytes"},
                                         GrantLimit{"Commit", "commit_limit_bytes = 1048576\n",
                                                    Errc::kCommitLimit, "commit_limit_bytes"},
                                         GrantLimit{"Region", "size_bytes = \"1 MiB\"\n",
                                                    Errc::kRegionFull, "granules wanted"}),
                         [](const auto& one) { return one.param.name; });

TEST_P(GrantLimits, RefusesWhatGoesBeyondThem) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, with_region(GetParam().config));
  RawSession first(daemon.client_socket());
  const auto granted = first.grant(kMiBGranules).as<protocol::Granted>();
  RawSession second(daemon.client_socket());
  const auto refused = second.grant(1);
  EXPECT_EQ(refused.errc(), GetParam().errc) << refused.describe();
  EXPECT_THAT(refused.describe(), HasSubstr(GetParam().said));
  // What is given back can be granted to another.
  first.client.request(protocol::ReturnSpan{granted.first}).as<protocol::Done>();
  EXPECT_NO_THROW(second.grant(1).as<protocol::Granted>());
}

TEST(DaemonLimits, SessionQuotaIsOfOneSession) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, with_region("session_quota_bytes = \"1 MiB\"\n"));
  RawSession first(daemon.client_socket());
  EXPECT_EQ(first.welcome.session_quota_bytes, 1U << 20);
  first.grant(kMiBGranules).as<protocol::Granted>();
  const auto refused = first.grant(1);
  EXPECT_EQ(refused.errc(), Errc::kSessionQuota);
  EXPECT_THAT(refused.describe(), HasSubstr("session_quota_bytes"));
  RawSession second(daemon.client_socket());
  EXPECT_NO_THROW(second.grant(1).as<protocol::Granted>());
}

TEST(DaemonLimits, MachineKeepsItsFloor) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH,
                             with_region("available_floor_bytes = \"900 TiB\"\n"));
  RawSession session(daemon.client_socket());
  const auto refused = session.grant(1);
  EXPECT_EQ(refused.errc(), Errc::kMachineFull);
  EXPECT_THAT(refused.describe(), HasSubstr("available_floor_bytes"));
}

TEST(DaemonLimits, OneGrantHasAMostSize) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, with_region("max_grant_bytes = \"1 MiB\"\n"));
  RawSession session(daemon.client_socket());
  EXPECT_EQ(session.grant(kMiBGranules + 1).errc(), Errc::kSizeTooLarge);
  EXPECT_NO_THROW(session.grant(kMiBGranules).as<protocol::Granted>());
}

TEST(DaemonLimits, SessionsAreCountedPerRegionAndUid) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, with_region("max_sessions = 3\n"
                                                            "max_sessions_per_uid = 2\n"));
  const RawSession first(daemon.client_socket());
  const RawSession second(daemon.client_socket());
  RawClient third(daemon.client_socket());
  const auto refused = third.hello();
  EXPECT_EQ(refused.errc(), Errc::kTooManySessions);
  EXPECT_THAT(refused.describe(), HasSubstr("max_sessions_per_uid = 2"));
}

TEST(DaemonLimits, ConnectionsAreCountedPerUidAndComeFreeAgain) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "max_connections_per_uid = 2\n"});
  RawSession first(daemon.client_socket());
  RawSession watcher(daemon.client_socket());
  RawClient third(daemon.client_socket());
  const auto refused = third.receive();  // without a question
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->errc(), Errc::kTooManySessions);
  EXPECT_THAT(refused->describe(), HasSubstr("max_connections_per_uid = 2"));
  EXPECT_FALSE(third.receive().has_value());

  watcher.client.request(first.watch_request()).as<protocol::Done>();
  first.client.close();
  first.presence.reset();
  EXPECT_NO_THROW(watcher.client.receive()->as<protocol::PeerGone>());
  EXPECT_NO_THROW(RawSession(daemon.client_socket()));
}

TEST(DaemonLimits, ConnectionsAreCountedInAll) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "max_connections = 1\n"});
  const RawSession first(daemon.client_socket());
  RawClient second(daemon.client_socket());
  EXPECT_THAT(second.receive()->describe(), HasSubstr("max_connections = 1"));
  EXPECT_THAT(daemon.log(), HasSubstr("refused pid"));
}

TEST(DaemonLimits, SilentConnectionIsDroppedButAWatchMayWait) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "hello_deadline_ms = 50\n"});
  RawSession session(daemon.client_socket());
  RawClient watcher(daemon.client_socket());
  watcher.request(session.watch_request()).as<protocol::Done>();
  RawClient silent(daemon.client_socket());
  RawClient chatty(daemon.client_socket());  // says something, but not what it wants
  EXPECT_EQ(chatty.request(protocol::Unpin{0}).errc(), Errc::kUnknownSession);
  for (RawClient* const one : {&silent, &chatty}) {
    EXPECT_EQ(one->receive()->errc(), Errc::kDeadline);
    EXPECT_FALSE(one->receive().has_value());
  }
  // Both outlived the deadlines of later connections.
  EXPECT_NO_THROW(session.grant(1).as<protocol::Granted>());
  session.client.close();
  EXPECT_NO_THROW(watcher.receive()->as<protocol::PeerGone>());
}

TEST(DaemonLimits, MessagesHaveARate) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, with_region("messages_per_second = 1\n"
                                                            "message_burst = 5\n"));
  RawSession session(daemon.client_socket());
  bool limited = false;
  for (int i = 0; i < 10 && !limited; ++i) limited = session.grant(1).errc() == Errc::kRateLimit;
  EXPECT_TRUE(limited);
}

TEST(DaemonLimits, PeerThatNeverReadsIsDropped) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession watcher(daemon.client_socket());
  RawSession deaf(daemon.client_socket());
  watcher.client.request(deaf.watch_request()).as<protocol::Done>();
  // Its answers fill its queue; then it is dropped, and its sends fail.
  const auto request = protocol::encode({1, protocol::Unpin{0}});
  for (;;) {
    const auto sent = deaf.client.send(request);
    if (!sent && watcher.client.has_message()) break;
    // A full queue of ours drains while the daemon answers the watcher.
    if (!sent) (void)watcher.client.send({9, protocol::FreedElsewhere{0}});
  }
  EXPECT_EQ(watcher.client.receive()->as<protocol::PeerGone>().session, deaf.welcome.session);
  EXPECT_THAT(daemon.log(), HasSubstr("buffer space available: it does not read its messages"));
  EXPECT_NO_THROW(watcher.grant(1).as<protocol::Granted>());
}

}  // namespace
}  // namespace allot::test
