// Who may go on with a session at the next daemon, and when: clients that speak the protocol by hand.

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "shared/region/layout.hpp"
#include "tests/support/control_client.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

namespace p = protocol;

class ResumeBy : public testing::Test {
 protected:
  ResumeBy() {
    wanted_.fingerprint = region::fingerprint();
    p::set_text(wanted_.region, "default");
    wanted_.region_created_unix_ns = created_unix_ns();
    wanted_.session = session_.welcome.session;
    wanted_.incarnation = session_.welcome.incarnation;
    EXPECT_EQ(::kill(allotd_.daemon(), SIGKILL), 0);
    allotd_.wait_until_ready();
  }
  [[nodiscard]] RawClient connect() const { return RawClient(allotd_.supervisor.client_socket()); }
  [[nodiscard]] const p::Resume& wanted() const { return wanted_; }
  [[nodiscard]] Errc resume(RawClient& client) const { return client.introduce(wanted_).errc(); }
  /// A request that only a session may make.
  static void use(RawClient& client) {
    EXPECT_EQ(client.request(p::NextReservation{0}).errc(), Errc::kOk);
  }
  [[nodiscard]] std::uint64_t sessions() const {
    return stats_of_region(allotd_.supervisor.control_socket()).sessions;
  }

 private:
  [[nodiscard]] std::uint64_t created_unix_ns() const {
    region::DirectoryHeader header{};
    EXPECT_EQ(::pread(session_.directory.get(), &header, sizeof(header), 0),
              static_cast<ssize_t>(sizeof(header)));
    return header.created_unix_ns;
  }

  Supervised allotd_;
  RawSession session_{allotd_.supervisor.client_socket()};
  PresenceMapping image_ = session_.map_presence();
  p::Resume wanted_;
};

TEST_F(ResumeBy, OneWhoGoesAwayBeforeTheAnswerDoesNotUseItUp) {
  for (int i = 0; i < 20; ++i) {
    RawClient hasty = connect();
    ASSERT_TRUE(hasty.send({1, wanted()}));
  }
  RawClient client = connect();
  EXPECT_EQ(resume(client), Errc::kOk);
  use(client);
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(ResumeBy, OneWhoIsNotHeardOfGivesWayToTheNext) {
  RawClient first = connect();
  EXPECT_EQ(resume(first), Errc::kOk);
  RawClient second = connect();
  EXPECT_EQ(resume(second), Errc::kOk);
  EXPECT_FALSE(first.receive()) << "it is closed";
  use(second);
}

TEST_F(ResumeBy, OneWhoIsHeardOfIsTheLast) {
  RawClient first = connect();
  EXPECT_EQ(resume(first), Errc::kOk);
  use(first);
  RawClient second = connect();
  EXPECT_EQ(resume(second), Errc::kUnknownSession);
  use(first);
  first.close();
  RawClient third = connect();
  EXPECT_EQ(resume(third), Errc::kUnknownSession);
}

// Nobody reads what the daemon says after READY=1.
TEST(Welcome, IsNotSaidWhereTheServiceManagerDoesNotAnswer) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.environment = {{"FDSTORE", "100"}}});
  RawClient client(daemon.client_socket());
  EXPECT_EQ(client.hello().errc(), Errc::kTooManySessions);
  await_sessions(daemon.control_socket(), 0);
}

}  // namespace
}  // namespace allot::test
