// The ends of sessions: killed, exited, detached, dropped; and what comes back when.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <optional>
#include <string>

#include "shared/platform/memfd.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"

namespace allot::test {
namespace {

using region::SessionState;
using testing::HasSubstr;

const char* const kConfig =
    "[[region]]\n"
    "name = \"default\"\n"
    "uid_quota_bytes = \"2 MiB\"\n"
    "punch_delay_ms = 1\n";

// Says to the parent which session the child has.
struct Report {
  std::uint32_t session = 0;
  std::uint64_t incarnation = 0;
};

// A child process that opens a session with a grant of 1 MiB, maps its presence, reports, and then
// does what `then` says. It never returns into the test.
class ChildSession {
 public:
  ChildSession(const std::filesystem::path& socket, const std::function<void(RawSession&)>& then) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
    platform::Descriptor reading(ends[0]);
    platform::Descriptor writing(ends[1]);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::alarm(60);
      run(socket, writing, then);
    }
    child_ = ChildProcess(pid);
    writing.reset();
    if (::read(reading.get(), &report_, sizeof(report_)) != sizeof(report_)) {
      throw std::runtime_error("the child has no session");
    }
  }

  [[nodiscard]] protocol::Watch watch_request() const {
    protocol::Watch watch;
    protocol::set_text(watch.region, "default");
    watch.session = report_.session;
    watch.incarnation = report_.incarnation;
    return watch;
  }
  [[nodiscard]] const Report& report() const noexcept { return report_; }
  [[nodiscard]] ChildProcess& process() noexcept { return child_; }

 private:
  [[noreturn]] static void run(const std::filesystem::path& socket,
                               const platform::Descriptor& writing,
                               const std::function<void(RawSession&)>& then) {
    try {
      RawSession session(socket);
      const PresenceMapping presence = session.map_presence();
      (void)session.grant(16).as<protocol::Granted>();
      const Report report{session.welcome.session, session.welcome.incarnation};
      if (::write(writing.get(), &report, sizeof(report)) != sizeof(report)) ::_exit(1);
      then(session);
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }

  ChildProcess child_;
  Report report_;
};

void wait_for_ever(RawSession& /*session*/) {
  for (;;) ::pause();
}

void expect_gone(RawSession& watcher, const Report& child) {
  const auto gone = watcher.client.receive();
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->as<protocol::PeerGone>().session, child.session);
  EXPECT_EQ(gone->as<protocol::PeerGone>().incarnation, child.incarnation);
  const auto entry = read_session(watcher.directory, child.session);
  EXPECT_EQ(entry.state.load_acquire(), static_cast<std::uint32_t>(SessionState::kAbsent));
  EXPECT_EQ(entry.granted_bytes.load_relaxed(), 0U);
  // All of the user's quota is there again, and the pages go back.
  const auto granted = watcher.grant(32).as<protocol::Granted>();
  watcher.client.request(protocol::ReturnSpan{granted.first}).as<protocol::Done>();
  ask_until(watcher.client, "all pages are given back",
            [&] { return committed_bytes(watcher.data) == 0; });
}

TEST(SessionDeath, MemoryOfAKilledClientComesBack) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  ChildSession child(daemon.client_socket(), wait_for_ever);
  watcher.client.request(child.watch_request()).as<protocol::Done>();
  EXPECT_EQ(read_session(watcher.directory, child.report().session).granted_bytes.load_relaxed(),
            1U << 20);
  EXPECT_EQ(watcher.grant(32).errc(), Errc::kUidQuota);
  EXPECT_FALSE(watcher.client.has_message());
  child.process().kill();
  expect_gone(watcher, child.report());
}

TEST(SessionDeath, ClientThatExitsWithoutAWordIsRecovered) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  ChildSession child(daemon.client_socket(), [](RawSession& session) {
    (void)session.client.receive();  // until it is told to go
    ::_exit(3);
  });
  watcher.client.request(child.watch_request()).as<protocol::Done>();
  child.process().signal(SIGTERM);
  expect_gone(watcher, child.report());
}

TEST(SessionDeath, ExecEndsTheSessionOfTheOldImage) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  std::array<int, 2> go{};
  ASSERT_EQ(::pipe2(go.data(), O_CLOEXEC), 0);
  platform::Descriptor go_read(go[0]);
  platform::Descriptor go_write(go[1]);
  ChildSession child(daemon.client_socket(), [&](RawSession&) {
    go_write.reset();
    char byte = 0;
    if (::read(go_read.get(), &byte, 1) < 0) ::_exit(1);
    ::execl("/bin/cat", "cat", nullptr);  // reads our stdin, which is kept open below
  });
  watcher.client.request(child.watch_request()).as<protocol::Done>();
  go_write.reset();
  expect_gone(watcher, child.report());
}

TEST(SessionDeath, ConnectionThatOutlivesItsProcessInAChildDoesNotKeepTheSession) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  ChildSession child(daemon.client_socket(), [](RawSession& session) {
    // The grandchild has the socket and, by DONTFORK, not the presence.
    if (::fork() == 0) {
      ::alarm(60);
      (void)session.client.receive();  // ends when the daemon drops the connection
      ::_exit(0);
    }
    wait_for_ever(session);
  });
  watcher.client.request(child.watch_request()).as<protocol::Done>();
  child.process().kill();
  expect_gone(watcher, child.report());
}

TEST(SessionDeath, DetachedSessionKeepsItsChargeUntilItsImageUnmaps) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  RawSession detached(daemon.client_socket());
  std::optional<PresenceMapping> mapping = detached.map_presence();
  detached.grant(16).as<protocol::Granted>();
  watcher.client.request(detached.watch_request()).as<protocol::Done>();
  detached.client.close();

  const std::uint32_t id = detached.welcome.session;
  ask_until(watcher.client, "the session is detached", [&] {
    return read_session(watcher.directory, id).state.load_acquire() ==
           static_cast<std::uint32_t>(SessionState::kDetached);
  });
  EXPECT_EQ(watcher.grant(32).errc(), Errc::kUidQuota);
  EXPECT_EQ(read_session(watcher.directory, id).granted_bytes.load_relaxed(), 1U << 20);
  EXPECT_FALSE(watcher.client.has_message());
  mapping.reset();
  expect_gone(watcher, {id, detached.welcome.incarnation});
}

TEST(SessionDeath, DetachedSessionOfAProcessThatDiesIsRecovered) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  ChildSession child(daemon.client_socket(), [](RawSession& session) {
    session.client.close();
    wait_for_ever(session);
  });
  watcher.client.request(child.watch_request()).as<protocol::Done>();
  ask_until(watcher.client, "the session is detached", [&] {
    return read_session(watcher.directory, child.report().session).state.load_acquire() ==
           static_cast<std::uint32_t>(SessionState::kDetached);
  });
  child.process().kill();
  expect_gone(watcher, child.report());
}

TEST(SessionDeath, LateComerCannotMapThePresenceOfADeadSession) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  RawSession late(daemon.client_socket());
  watcher.client.request(late.watch_request()).as<protocol::Done>();
  late.client.close();
  EXPECT_NO_THROW(watcher.client.receive()->as<protocol::PeerGone>());
  EXPECT_THROW((void)late.map_presence(), std::runtime_error);
}

TEST(SessionDeath, SealingTheSealsIsNoWayToStay) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  ChildSession child(daemon.client_socket(), [](RawSession& session) {
    ::fcntl(session.presence.get(), F_ADD_SEALS, F_SEAL_SEAL);
    session.client.close();
    wait_for_ever(session);
  });
  watcher.client.request(child.watch_request()).as<protocol::Done>();
  ask_until(watcher.client, "the daemon noticed",
            [&] { return daemon.log().find("it sealed its presence file") != std::string::npos; });
  EXPECT_THAT(daemon.log(), HasSubstr("noted pid " + std::to_string(child.process().pid())));
  EXPECT_FALSE(watcher.client.has_message());
  child.process().kill();
  expect_gone(watcher, child.report());
}

TEST(SessionDeath, ByeThenUnmapAndCloseEndsTheSession) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = kConfig});
  RawSession watcher(daemon.client_socket());
  RawSession leaving(daemon.client_socket());
  watcher.client.request(leaving.watch_request()).as<protocol::Done>();
  std::optional<PresenceMapping> mapping = leaving.map_presence();
  leaving.client.request(protocol::Bye{}).as<protocol::Done>();
  EXPECT_FALSE(watcher.client.has_message());
  mapping.reset();
  leaving.client.close();
  expect_gone(watcher, {leaving.welcome.session, leaving.welcome.incarnation});
}

TEST(SessionDeath, DeathDuringALargeGrantLeavesNothing) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "[[region]]\n"
                                                           "name = \"default\"\n"
                                                           "punch_delay_ms = 1\n"});
  RawSession watcher(daemon.client_socket());
  for (int round = 0; round < 10; ++round) {
    RawSession dying(daemon.client_socket());
    watcher.client.request(dying.watch_request()).as<protocol::Done>();
    ASSERT_TRUE(dying.client.send({1, protocol::GrantRequest{512, 1, 1024, 1}}));
    dying.client.close();
    dying.presence.reset();
    EXPECT_EQ(watcher.client.receive()->as<protocol::PeerGone>().session, dying.welcome.session);
  }
  ask_until(watcher.client, "all pages are given back",
            [&] { return committed_bytes(watcher.data) == 0; });
}

TEST(SessionDeath, ManyAtOnceAreAllRecovered) {
  constexpr std::size_t kSessions = 40;
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession watcher(daemon.client_socket());
  {
    std::vector<std::unique_ptr<RawSession>> sessions;
    std::vector<PresenceMapping> mappings;
    for (std::size_t i = 0; i < kSessions; ++i) {
      sessions.push_back(std::make_unique<RawSession>(daemon.client_socket()));
      mappings.push_back(sessions.back()->map_presence());
      sessions.back()->grant(1, 4).as<protocol::Granted>();
      watcher.client.request(sessions.back()->watch_request()).as<protocol::Done>();
    }
  }
  for (std::size_t i = 0; i < kSessions; ++i) {
    EXPECT_NO_THROW(watcher.client.receive()->as<protocol::PeerGone>());
  }
}

}  // namespace
}  // namespace allot::test
