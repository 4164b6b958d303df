// `allotd --supervise`: the daemon comes back, with its listening sockets, whatever ends it.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "shared/platform/pidfd.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/region/geometry.hpp"
#include "tests/support/control_client.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;

struct stat client_socket_of(const Supervised& allotd) {
  struct stat status {};
  EXPECT_EQ(::stat(allotd.supervisor.client_socket().c_str(), &status), 0);
  return status;
}

bool is_clean_exit(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

void wait_for_end(const platform::Descriptor& pidfd) {
  ASSERT_TRUE(platform::wait_readable(pidfd, std::chrono::steady_clock::now() + kPatience));
}

TEST(Supervise, AKilledDaemonComesBackWithItsSockets) {
  Supervised allotd;
  const pid_t first = allotd.daemon();
  EXPECT_NE(first, allotd.supervisor.pid());
  const struct stat before = client_socket_of(allotd);
  // Connected while nobody accepts: the listening socket is there all the time.
  ASSERT_EQ(::kill(first, SIGSTOP), 0);
  RawClient waiting(allotd.supervisor.client_socket());
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  allotd.wait_until_ready();
  EXPECT_NE(allotd.daemon(), first);
  EXPECT_EQ(waiting.hello().errc(), Errc::kOk);
  EXPECT_NO_THROW(RawSession(allotd.supervisor.client_socket()).grant(1).as<protocol::Granted>());
  EXPECT_EQ(client_socket_of(allotd).st_ino, before.st_ino);
  EXPECT_THAT(allotd.supervisor.log(),
              HasSubstr("allotd[supervisor]: the daemon (pid " + std::to_string(first) +
                        ") was killed by signal 9 (Killed); starting it again"));
}

TEST(Supervise, ComesBackEachOfTwentyTimes) {
  Supervised allotd;
  const struct stat before = client_socket_of(allotd);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(::kill(allotd.daemon(), SIGKILL), 0);
    allotd.wait_until_ready();
    ASSERT_NO_THROW(RawSession(allotd.supervisor.client_socket()));
  }
  EXPECT_EQ(client_socket_of(allotd).st_ino, before.st_ino);
  EXPECT_THAT(allotd.supervisor.log(), testing::Not(HasSubstr("another allotd")));
}

TEST(Supervise, ASocketWhosePathWasTakenAwayIsMadeAnew) {
  Supervised allotd;
  ASSERT_TRUE(std::filesystem::remove(allotd.supervisor.client_socket()));
  ASSERT_EQ(::kill(allotd.daemon(), SIGKILL), 0);
  allotd.wait_until_ready();
  ASSERT_NO_THROW(RawSession(allotd.supervisor.client_socket()));
  // And the new one is stored in its place.
  const struct stat before = client_socket_of(allotd);
  ASSERT_EQ(::kill(allotd.daemon(), SIGKILL), 0);
  allotd.wait_until_ready();
  ASSERT_NO_THROW(RawSession(allotd.supervisor.client_socket()));
  EXPECT_EQ(client_socket_of(allotd).st_ino, before.st_ino);
}

class EndOfSupervisor : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Supervise, EndOfSupervisor, testing::Values(SIGTERM, SIGINT));

TEST_P(EndOfSupervisor, EndsTheDaemonToo) {
  Supervised allotd;
  auto daemon = platform::pidfd_open(allotd.daemon());
  ASSERT_TRUE(daemon);
  allotd.supervisor.signal(GetParam());
  EXPECT_TRUE(is_clean_exit(allotd.supervisor.wait())) << allotd.supervisor.log();
  EXPECT_TRUE(platform::has_exited(*daemon));
  EXPECT_THAT(allotd.supervisor.next_notification(), HasSubstr("STOPPING=1"));
  for (const auto& entry : std::filesystem::directory_iterator(allotd.supervisor.runtime_dir())) {
    EXPECT_THAT(entry.path().native(), testing::Not(HasSubstr("notify")));
  }
}

TEST(Supervise, ASecondSignalKillsADaemonThatDoesNotEnd) {
  Supervised allotd;
  ASSERT_EQ(::kill(allotd.daemon(), SIGSTOP), 0);
  allotd.supervisor.signal(SIGTERM);
  allotd.supervisor.signal(SIGINT);
  EXPECT_TRUE(is_clean_exit(allotd.supervisor.wait())) << allotd.supervisor.log();
  EXPECT_THAT(allotd.supervisor.log(), testing::Not(HasSubstr("does not end")));  // no patience
}

TEST(Supervise, HangupStartsTheDaemonAnew) {
  Supervised allotd;
  const pid_t first = allotd.daemon();
  const struct stat before = client_socket_of(allotd);
  allotd.supervisor.signal(SIGHUP);
  allotd.wait_until_ready();  // and nothing says STOPPING=1 before
  EXPECT_NE(allotd.daemon(), first);
  EXPECT_EQ(client_socket_of(allotd).st_ino, before.st_ino);
  EXPECT_NO_THROW(RawSession(allotd.supervisor.client_socket()));
}

// Puts `target`, or a script of this text, where the supervisor finds its program.
void install(const std::filesystem::path& program, const std::string& target) {
  const std::filesystem::path fresh = program.native() + ".new";
  if (target.starts_with("#!")) {
    write_file(fresh, target);
    ASSERT_EQ(::chmod(fresh.c_str(), 0700), 0);
  } else {
    std::filesystem::create_symlink(target, fresh);
  }
  std::filesystem::rename(fresh, program);
}

TEST(Supervise, ABuildOfAnotherLayoutIsNotTriedAgainUntilOneThatFitsIsInstalled) {
  const TemporaryDir scratch;
  const auto program = scratch.path() / "allotd";
  install(program, ALLOT_ALLOTD_PATH);
  Supervised allotd({}, program);
  const struct stat before = client_socket_of(allotd);
  const auto told = scratch.path() / "told";
  ASSERT_EQ(::mkfifo(told.c_str(), 0600), 0);
  const platform::Descriptor reading(::open(told.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  install(program, "#!/bin/sh\necho \"$@ $LISTEN_FDNAMES\" >" + told.native() + "\nexit 3\n");
  allotd.supervisor.signal(SIGHUP);
  ASSERT_TRUE(platform::wait_readable(reading, std::chrono::steady_clock::now() + kPatience));
  install(program, ALLOT_ALLOTD_PATH);
  allotd.supervisor.signal(SIGHUP);
  allotd.wait_until_ready();
  EXPECT_EQ(client_socket_of(allotd).st_ino, before.st_ino);
  EXPECT_NO_THROW(RawSession(allotd.supervisor.client_socket()));
  std::array<char, 4096> text{};
  const auto size = ::read(reading.get(), text.data(), text.size());
  ASSERT_GT(size, 0);
  EXPECT_THAT(std::string(text.data(), static_cast<std::size_t>(size)),
              testing::AllOf(HasSubstr("--runtime-dir"), testing::Not(HasSubstr("--supervise")),
                             HasSubstr("client:client-path:control:control-path")));
}

// Who lost its presence file may be alive: nothing of it is anybody else's.
TEST(Supervise, ASessionWhosePresenceFileIsLostKeepsWhatItHas) {
  const TemporaryDir scratch;
  const auto program = scratch.path() / "allotd";
  install(program, ALLOT_ALLOTD_PATH);
  Supervised allotd({}, program);
  RawSession session(allotd.supervisor.client_socket());
  const PresenceMapping image = session.map_presence();
  (void)session.grant(5).as<protocol::Granted>();
  install(program,
          "#!/bin/sh\nexport LISTEN_FDNAMES=$(echo \"$LISTEN_FDNAMES\" | sed -E "
          "'s/[0-9a-f]+\\.[0-9a-f]+\\.[0-9a-f]+/lost/g')\nexec " ALLOT_ALLOTD_PATH " \"$@\"\n");
  ASSERT_EQ(::kill(allotd.daemon(), SIGKILL), 0);
  allotd.wait_until_ready();
  const auto stats = stats_of_region(allotd.supervisor.control_socket());
  EXPECT_EQ(stats.sessions, 1U);
  EXPECT_EQ(stats.orphans, 0U);
  EXPECT_EQ(stats.granted_bytes, 5 * region::kGranuleBytes);
  EXPECT_THAT(allotd.supervisor.log(),
              HasSubstr("session " + std::to_string(session.welcome.session) +
                        " in region default has lost its presence file"));
}

TEST(Supervise, AHeldSupervisorSaysWhatToDoAndEndsWithZero) {
  const TemporaryDir scratch;
  const auto program = scratch.path() / "allotd";
  install(program, ALLOT_ALLOTD_PATH);
  Supervised allotd({}, program);
  install(program, "#!/bin/sh\nexit 3\n");
  const auto log = [&] { return allotd.supervisor.log(); };
  const auto watch = platform::Descriptor(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ASSERT_GE(::inotify_add_watch(watch.get(), allotd.supervisor.log_file().c_str(), IN_MODIFY), 0);
  allotd.supervisor.signal(SIGHUP);
  const std::string what =
      "of another layout than the stored regions; install the build that made them, then kill "
      "-HUP " +
      std::to_string(allotd.supervisor.pid());
  std::array<char, 4096> events{};
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (log().find(what) == std::string::npos) {
    ASSERT_TRUE(platform::wait_readable(watch, deadline));
    (void)!::read(watch.get(), events.data(), events.size());
  }
  allotd.supervisor.signal(SIGTERM);
  EXPECT_TRUE(is_clean_exit(allotd.supervisor.wait())) << log();
}

TEST(Supervise, MessagesOfOthersAreNotTheDaemons) {
  Supervised allotd;
  const struct stat before = client_socket_of(allotd);
  const auto path =
      allotd.supervisor.runtime_dir() / ("notify-" + std::to_string(allotd.supervisor.pid()));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
  const platform::Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const std::string lie = "FDSTOREREMOVE=1\nFDNAME=client";
  ASSERT_GT(::sendto(socket.get(), lie.data(), lie.size(), 0,
                     reinterpret_cast<const sockaddr*>(&address), sizeof(address)),
            0);
  ASSERT_EQ(::kill(allotd.daemon(), SIGKILL), 0);
  allotd.wait_until_ready();
  EXPECT_EQ(client_socket_of(allotd).st_ino, before.st_ino);
}

TEST(Supervise, ADaemonThatWasAskedToEndTakesTheSupervisorWithIt) {
  Supervised allotd;
  ASSERT_EQ(::kill(allotd.daemon(), SIGTERM), 0);
  EXPECT_TRUE(is_clean_exit(allotd.supervisor.wait())) << allotd.supervisor.log();
}

TEST(Supervise, TheDaemonServesOnWithoutItsSupervisor) {
  const TemporaryDir scratch;
  DaemonProcess supervisor(ALLOT_ALLOTD_PATH, supervised({.runtime_dir = scratch.path() / "run"}));
  const pid_t pid = std::stoi(read_file(supervisor.runtime_dir() / "allotd.lock"));
  auto daemon = platform::pidfd_open(pid);
  ASSERT_TRUE(daemon);
  supervisor.kill();
  EXPECT_NO_THROW(RawSession(supervisor.client_socket()).grant(1).as<protocol::Granted>());
  ASSERT_EQ(::kill(pid, SIGTERM), 0);
  wait_for_end(*daemon);
}

TEST(Supervise, WrongUsageEndsWithItsStatusAndNoLoop) {
  const TemporaryDir scratch;
  const auto usage = run_program({ALLOT_ALLOTD_PATH, "--supervise", "--no-such-option"});
  EXPECT_EQ(usage.exit_status, 2);
  write_file(scratch.path() / "a.toml", "unknown = 1\n");
  const std::string run = (scratch.path() / "run").native();
  const auto config = run_program({ALLOT_ALLOTD_PATH, "--supervise", "--runtime-dir", run,
                                   "--config", (scratch.path() / "a.toml").native()});
  EXPECT_EQ(config.exit_status, 2);
  EXPECT_THAT(config.err, HasSubstr("a.toml:1: unknown"));
}

TEST(Supervise, ADaemonThatCannotStartEndsWithItsStatusAndNoLoop) {
  const DaemonProcess other(ALLOT_ALLOTD_PATH);
  const auto second = run_program(
      {ALLOT_ALLOTD_PATH, "--supervise", "--runtime-dir", other.runtime_dir().native()});
  EXPECT_EQ(second.exit_status, 1);
  EXPECT_THAT(second.err, HasSubstr("another allotd with pid " + std::to_string(other.pid())));
  EXPECT_NO_THROW(RawSession(other.client_socket()));
}

TEST(Supervise, WhatOnlyAnswersIsNotSupervised) {
  const auto version = run_program({ALLOT_ALLOTD_PATH, "--supervise", "--version"});
  EXPECT_EQ(version.exit_status, 0);
  EXPECT_THAT(version.err, testing::Not(HasSubstr("supervisor")));
  const std::string file = std::string(ALLOT_SOURCE_DIR) + "/systemd/allotd.toml";
  const auto check =
      run_program({ALLOT_ALLOTD_PATH, "--supervise", "--check-config", "--config", file});
  EXPECT_EQ(check.exit_status, 0);
  EXPECT_EQ(check.out, file + ": ok\n");
  EXPECT_THAT(check.err, testing::Not(HasSubstr("supervisor")));
}

}  // namespace
}  // namespace allot::test
