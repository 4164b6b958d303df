// allotd as a process: options, configuration, one daemon a directory, start and end, idleness.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <allot/version.hpp>

#include "shared/platform/seqpacket.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;

ProgramResult check_config(const std::string& text) {
  const TemporaryDir scratch;
  write_file(scratch.path() / "a.toml", text);
  return run_program(
      {ALLOT_ALLOTD_PATH, "--check-config", "--config", (scratch.path() / "a.toml").native()});
}

bool is_clean_exit(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }

TEST(DaemonProcess, SaysItsVersion) {
  const auto result = run_program({ALLOT_ALLOTD_PATH, "--version"});
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_EQ(result.out, "allotd " ALLOT_VERSION_STRING "\n");
}

TEST(DaemonProcess, HelpNamesEachPublicOption) {
  const auto result = run_program({ALLOT_ALLOTD_PATH, "--help"});
  EXPECT_EQ(result.exit_status, 0);
  for (const char* const option : {"--runtime-dir", "--config", "--check-config", "--supervise",
                                   "--log-level", "--version", "Exit status"}) {
    EXPECT_THAT(result.out, HasSubstr(option));
  }
  EXPECT_THAT(result.out, testing::Not(HasSubstr("force-fallback")));
}

TEST(DaemonProcess, WrongUsageExitsWithTwo) {
  EXPECT_EQ(run_program({ALLOT_ALLOTD_PATH, "--no-such-option"}).exit_status, 2);
  const auto level = run_program({ALLOT_ALLOTD_PATH, "--check-config", "--log-level", "loud"});
  EXPECT_EQ(level.exit_status, 2);
  EXPECT_THAT(level.err, HasSubstr("debug, info, warning or error"));
}

TEST(DaemonProcess, CheckConfigAcceptsTheShippedConfiguration) {
  const std::string file = std::string(ALLOT_SOURCE_DIR) + "/systemd/allotd.toml";
  const auto result = run_program({ALLOT_ALLOTD_PATH, "--check-config", "--config", file});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_EQ(result.out, file + ": ok\n");
}

TEST(DaemonProcess, CheckConfigNamesLineAndKeyOfEachMistake) {
  const auto result = check_config(
      "max_conections = 3\n"             // 1
      "[[region]]\n"                     // 2
      "name = \"a b\"\n"                 // 3
      "size_bytes = \"64 Gib\"\n"        // 4
      "max_heaps = 100000\n"             // 5
      "allow_uids = []\n"                // 6
      "allow_users = [\"no such\"]\n");  // 7
  EXPECT_EQ(result.exit_status, 2);
  EXPECT_EQ(result.out, "");
  for (const char* const mistake :
       {"a.toml:1: max_conections = 3: ", "a.toml:3: name = 'a b': ",
        "a.toml:4: size_bytes = '64 Gib': ", "a.toml:5: max_heaps = 100000: ",
        "a.toml:6: allow_uids: ", "a.toml:7: allow_users = 'no such': "}) {
    EXPECT_THAT(result.err, HasSubstr(mistake));
  }
}

TEST(DaemonProcess, CheckConfigOfADirectoryIsAWrongConfiguration) {
  const auto result = run_program({ALLOT_ALLOTD_PATH, "--check-config", "--config", "/usr"});
  EXPECT_EQ(result.exit_status, 2);
  EXPECT_THAT(result.err, HasSubstr("/usr: cannot be read: it is a directory"));
}

TEST(DaemonProcess, NamesTheParentOfARuntimeDirectoryThatCannotBeMade) {
  const auto result = run_program({ALLOT_ALLOTD_PATH, "--runtime-dir", "/nonexistent/allot/run"});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("/nonexistent/allot is not there; make that first"));
}

TEST(DaemonProcess, DoesNotStartWithABadConfiguration) {
  const TemporaryDir scratch;
  write_file(scratch.path() / "a.toml", "unknown = 1\n");
  const auto result =
      run_program({ALLOT_ALLOTD_PATH, "--config", (scratch.path() / "a.toml").native(),
                   "--runtime-dir", (scratch.path() / "run").native()});
  EXPECT_EQ(result.exit_status, 2);
  EXPECT_FALSE(std::filesystem::exists(scratch.path() / "run"));
}

TEST(DaemonProcess, SecondDaemonInOneDirectoryNamesTheFirstAndLeavesItAlone) {
  const DaemonProcess first(ALLOT_ALLOTD_PATH);
  const auto second =
      run_program({ALLOT_ALLOTD_PATH, "--runtime-dir", first.runtime_dir().native()});
  EXPECT_EQ(second.exit_status, 1);
  EXPECT_THAT(second.err, HasSubstr("another allotd with pid " + std::to_string(first.pid())));
  EXPECT_THAT(second.err, HasSubstr(first.runtime_dir().native()));
  EXPECT_NO_THROW(RawSession(first.client_socket()));
}

TEST(DaemonProcess, ReplacesTheSocketsOfADeadDaemon) {
  const TemporaryDir scratch;
  DaemonProcess::Options options;
  options.runtime_dir = scratch.path() / "run";
  DaemonProcess first(ALLOT_ALLOTD_PATH, options);
  first.kill();
  ASSERT_TRUE(std::filesystem::is_socket(first.client_socket()));
  const DaemonProcess second(ALLOT_ALLOTD_PATH, options);
  EXPECT_NO_THROW(RawSession(second.client_socket()));
}

TEST(DaemonProcess, KeepsOutOfADirectoryThatOthersMayWrite) {
  const TemporaryDir scratch;
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0777), 0);
  const auto result = run_program({ALLOT_ALLOTD_PATH, "--runtime-dir", scratch.path().native()});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_THAT(result.err, HasSubstr("others may write"));
}

TEST(DaemonProcess, DoesNotRemoveAFileThatIsNoSocket) {
  const TemporaryDir scratch;
  write_file(scratch.path() / "client.sock", "precious");
  const auto result = run_program({ALLOT_ALLOTD_PATH, "--runtime-dir", scratch.path().native()});
  EXPECT_EQ(result.exit_status, 1);
  EXPECT_EQ(read_file(scratch.path() / "client.sock"), "precious");
}

class EndSignal : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(DaemonProcess, EndSignal, testing::Values(SIGTERM, SIGINT));

TEST_P(EndSignal, EndsCleanlyAndRemovesTheSockets) {
  DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  RawSession session(daemon.client_socket());
  daemon.signal(GetParam());
  EXPECT_TRUE(is_clean_exit(daemon.wait())) << daemon.log();
  EXPECT_THAT(daemon.next_notification(), HasSubstr("STOPPING=1"));
  EXPECT_FALSE(std::filesystem::exists(daemon.client_socket()));
  EXPECT_FALSE(std::filesystem::exists(daemon.control_socket()));
  EXPECT_FALSE(session.client.receive().has_value());  // a clean end of the connection
}

TEST(DaemonProcess, HangupDoesNotEndIt) {
  DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  daemon.signal(SIGHUP);
  EXPECT_NO_THROW(RawSession(daemon.client_socket()));
  daemon.signal(SIGTERM);
  EXPECT_TRUE(is_clean_exit(daemon.wait()));
  EXPECT_THAT(daemon.log(), HasSubstr("SIGHUP"));
}

TEST(DaemonProcess, SocketsAreForItsUserOrRootsGroupOnly) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  for (const auto& path : {daemon.client_socket(), daemon.control_socket()}) {
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, ::geteuid() == 0 ? 0660U : 0600U) << path;
  }
}

TEST(DaemonProcess, ServesSocketsThatAreHandedToItAndLeavesThemThere) {
  const TemporaryDir scratch;
  const auto path = scratch.path() / "elsewhere.sock";
  auto listening = platform::listen_seqpacket(path, 0600, 8);
  ASSERT_TRUE(listening);
  DaemonProcess::Options options;
  options.sockets = {{"client", listening->get()}};
  DaemonProcess daemon(ALLOT_ALLOTD_PATH, options);
  EXPECT_NO_THROW(RawSession(path).grant(1).as<protocol::Granted>());
  EXPECT_FALSE(std::filesystem::exists(daemon.client_socket()));
  EXPECT_TRUE(std::filesystem::is_socket(daemon.control_socket()));  // that one it makes
  daemon.signal(SIGTERM);
  EXPECT_TRUE(is_clean_exit(daemon.wait()));
  EXPECT_TRUE(std::filesystem::is_socket(path));
  EXPECT_FALSE(std::filesystem::exists(daemon.control_socket()));
}

TEST(DaemonProcess, RefusesAHandedSocketOfTheWrongType) {
  const TemporaryDir scratch;
  auto listening = platform::listen_seqpacket(scratch.path() / "a.sock", 0600, 8);
  ASSERT_TRUE(listening);
  DaemonProcess::Options options;
  options.sockets = {{"control", listening->get()}};  // wants a stream
  try {
    const DaemonProcess daemon(ALLOT_ALLOTD_PATH, options);
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr("'control' does not listen as ListenStream="));
  }
}

// "it_value: (0, 0)" of every timerfd: nothing will wake the daemon but a descriptor.
std::vector<std::string> armed_timers(pid_t pid) {
  std::vector<std::string> armed;
  const std::filesystem::path proc = "/proc/" + std::to_string(pid);
  for (const auto& entry : std::filesystem::directory_iterator(proc / "fdinfo")) {
    const std::string text = read_file(entry.path());
    if (text.find("it_value:") == std::string::npos) continue;
    if (text.find("it_value: (0, 0)") == std::string::npos) armed.push_back(text);
  }
  return armed;
}

TEST(DaemonProcess, ArmsNoTimerWhileItIsIdle) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "[[region]]\n"
                                                           "name = \"default\"\n"
                                                           "punch_delay_ms = 1\n"});
  if (::access(("/proc/" + std::to_string(daemon.pid()) + "/fdinfo/0").c_str(), R_OK) != 0) {
    GTEST_SKIP() << "only root can look into a process that is not dumpable";
  }
  EXPECT_THAT(armed_timers(daemon.pid()), testing::IsEmpty());
  // And again after work of every kind: deadlines, grants, a death, recovery, punching.
  RawSession observer(daemon.client_socket());
  {
    RawSession session(daemon.client_socket());
    const PresenceMapping mapping = session.map_presence();
    session.grant(4).as<protocol::Granted>();
    observer.client.request(session.watch_request()).as<protocol::Done>();
  }
  EXPECT_NO_THROW(observer.client.receive()->as<protocol::PeerGone>());
  ask_until(observer.client, "no timer is armed",
            [&] { return armed_timers(daemon.pid()).empty(); });
}

TEST(DaemonProcess, PingsTheWatchdogIfAskedTo) {
  DaemonProcess::Options options;
  options.environment = {{"WATCHDOG_USEC", "20000"}};
  DaemonProcess daemon(ALLOT_ALLOTD_PATH, options);
  EXPECT_EQ(daemon.next_notification(), "WATCHDOG=1");
  EXPECT_EQ(daemon.next_notification(), "WATCHDOG=1");
}

}  // namespace
}  // namespace allot::test
