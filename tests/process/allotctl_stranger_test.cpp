// allotctl where no allotd is: nothing at all, a stopped one, or something that is none. It ends by its
// deadline, says what is wrong in one line, and its exit status tells which it was.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include <allot/version.hpp>

#include "shared/platform/descriptor.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;

const char* const kEnv = "/usr/bin/env";

std::size_t lines_in(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

// A listening socket where control.sock would be; it accepts nothing by itself.
class Listener {
 public:
  Listener() : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
    if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(socket_.get(), 8) != 0) {
      throw std::runtime_error("listen");
    }
  }

  [[nodiscard]] std::string directory() const { return directory_.path().native(); }
  [[nodiscard]] std::string path() const { return directory() + "/control.sock"; }
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

 private:
  TemporaryDir directory_;
  platform::Descriptor socket_;
};

bool wait_readable(int descriptor) {
  pollfd waiting{descriptor, POLLIN, 0};
  return ::poll(&waiting, 1, 20'000) > 0;
}

// Gives `answer` to each line of one connection, then closes it.
class Stranger {
 public:
  explicit Stranger(std::string answer)
      : answer_(std::move(answer)), thread_([this] { serve(); }) {}
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;
  ~Stranger() { thread_.join(); }

  [[nodiscard]] std::string path() const { return listener_.path(); }

 private:
  void serve() {
    if (!wait_readable(listener_.descriptor())) return;
    const platform::Descriptor peer(
        ::accept4(listener_.descriptor(), nullptr, nullptr, SOCK_CLOEXEC));
    std::array<char, 4096> line{};
    while (wait_readable(peer.get()) && ::recv(peer.get(), line.data(), line.size(), 0) > 0) {
      if (answer_.empty()) return;
      if (::send(peer.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL) < 0) return;
    }
  }

  std::string answer_;
  Listener listener_;
  std::thread thread_;
};

ProgramResult ask_stranger(const std::string& answer, const std::vector<std::string>& command) {
  const Stranger stranger(answer);
  std::vector<std::string> arguments = {ALLOT_ALLOTCTL_PATH, "--socket", stranger.path()};
  arguments.insert(arguments.end(), command.begin(), command.end());
  return run_program(arguments);
}

TEST(AllotctlStranger, SaysInOneLineWhereItLooked) {
  const TemporaryDir login;
  const ProgramResult result =
      run_program({kEnv, "-u", "ALLOT_RUNTIME_DIR", "XDG_RUNTIME_DIR=" + login.path().native(),
                   ALLOT_ALLOTCTL_PATH, "stats"});
  // A daemon of the machine's own may answer at /run/allot.
  if (result.exit_status == 0) GTEST_SKIP() << "an allotd runs here";
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(lines_in(result.err), 1U) << result.err;
  EXPECT_THAT(result.err, HasSubstr("/run/allot/control.sock ("));
  EXPECT_THAT(result.err, HasSubstr(login.path().native() + "/allot/control.sock ("));
  EXPECT_THAT(result.err, HasSubstr("start one with: "));
}

TEST(AllotctlStranger, LooksOnlyWhereItIsTold) {
  const TemporaryDir empty;
  const std::string socket = empty.path().native() + "/control.sock";
  const std::vector<std::vector<std::string>> ways = {
      {kEnv, "ALLOT_RUNTIME_DIR=" + empty.path().native(), ALLOT_ALLOTCTL_PATH, "stats"},
      {ALLOT_ALLOTCTL_PATH, "--runtime-dir", empty.path().native(), "stats"},
      {ALLOT_ALLOTCTL_PATH, "stats", "--socket", socket}};
  for (const auto& arguments : ways) {
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.exit_status, 3);
    EXPECT_THAT(result.err, HasSubstr("looked at " + socket + " (No such file or directory); "));
  }
}

TEST(AllotctlStranger, SaysThatSocketIsDead) {
  std::string path;
  const TemporaryDir kept;
  {
    const Listener listener;
    path = kept.path().native() + "/control.sock";
    std::filesystem::rename(listener.path(), path);
  }
  const ProgramResult result = run_program({ALLOT_ALLOTCTL_PATH, "--socket", path, "names"});
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_THAT(result.err, HasSubstr("Connection refused"));
}

TEST(AllotctlStranger, GivesUpAtItsDeadline) {
  const Listener listener;  // connects, and never answers
  const auto start = std::chrono::steady_clock::now();
  const ProgramResult result = run_program(
      {ALLOT_ALLOTCTL_PATH, "--runtime-dir", listener.directory(), "--timeout", "0.2", "stats"});
  EXPECT_EQ(result.exit_status, 3);
  EXPECT_EQ(lines_in(result.err), 1U);
  EXPECT_THAT(result.err, HasSubstr("the deadline passed before allotd answered"));
  EXPECT_THAT(result.err, HasSubstr("--timeout"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(200));
}

TEST(AllotctlStranger, GivesUpOnStoppedDaemon) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  daemon.signal(SIGSTOP);
  const ProgramResult result =
      run_program({ALLOT_ALLOTCTL_PATH, "--runtime-dir", daemon.runtime_dir().native(), "check",
                   "--timeout", "0.2"});
  EXPECT_EQ(result.exit_status, 3);
  daemon.signal(SIGCONT);
  EXPECT_EQ(
      run_program({ALLOT_ALLOTCTL_PATH, "--runtime-dir", daemon.runtime_dir().native(), "check"})
          .exit_status,
      0);
}

TEST(AllotctlStranger, RefusesWhatIsNoAnswer) {
  for (const char* const answer : {"hello\n", "[]\n", "{\"ok\":true\n", "{}\n", "{\"ok\":7}\n"}) {
    const ProgramResult result = ask_stranger(answer, {"stats"});
    EXPECT_EQ(result.exit_status, 4) << answer;
    EXPECT_EQ(lines_in(result.err), 1U);
  }
  EXPECT_EQ(ask_stranger("", {"stats"}).exit_status, 3);  // hangs up
}

TEST(AllotctlStranger, TakesMembersThatAreMissingForNothing) {
  const std::string odd =
      R"({"ok":true,"regions":[7,{},{"region":7,"reserved_bytes":-1,"committed":[],)"
      R"("sessions":[{}],"names":[{"name":"\u001b[2J"}],"spans":[{}],"next":null,)"
      R"("grants_per_second":"x","violations":{},"clean":true}]})"
      "\n";
  for (const char* const command : {"stats", "sessions", "names"}) {
    const ProgramResult result = ask_stranger(odd, {command});
    EXPECT_EQ(result.exit_status, 0) << command << result.err;
    EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  }
  EXPECT_EQ(ask_stranger(odd, {"stats", "--full"}).exit_status, 0);
  EXPECT_EQ(ask_stranger(odd, {"check"}).exit_status, 1);  // {} says nowhere that it is clean
  EXPECT_EQ(ask_stranger(odd, {"spans"}).exit_status, 4);
}

TEST(AllotctlStranger, FollowsNoPagesInCircles) {
  const std::string page =
      R"({"ok":true,"regions":[{"region":"default","spans":[{"first":1}],"next":5}]})"
      "\n";
  const ProgramResult result = ask_stranger(page, {"spans", "--limit", "0"});
  EXPECT_EQ(result.exit_status, 4);
  EXPECT_THAT(result.err, HasSubstr("leads nowhere"));
  const std::string map_page =
      R"({"ok":true,"regions":[{"region":"default","items":[{"first":1}],"next":5}]})"
      "\n";
  EXPECT_THAT(ask_stranger(map_page, {"map"}).err, HasSubstr("leads nowhere"));
}

TEST(AllotctlStranger, DrawsNothingThatMakesNoSense) {
  const std::vector<std::string> answers_of_map = {
      R"({"ok":true,"regions":[{"region":"\u001b[2J","items":[{"first":1}],"next":0}]})",
      R"({"ok":true,"regions":[{"region":"default","next":null}]})", R"({"ok":true,"regions":7})",
      R"({"ok":true})"};
  for (const std::string& answer : answers_of_map) {
    const ProgramResult result = ask_stranger(answer + "\n", {"map"});
    EXPECT_EQ(result.exit_status, 4) << answer;
    EXPECT_EQ(lines_in(result.err), 1U) << result.err;
  }
  const std::string absurd =
      R"({"ok":true,"regions":[7,{"region":"\u001b[2J","granules":18446744073709551615,)"
      R"("granule_bytes":18446744073709551615,"used_granules":18446744073709551615,"items":[{},7,)"
      R"({"first":18446744073709551615,"granules":18446744073709551615,"kind":"large"},)"
      R"({"first":5,"granules":18446744073709551615,"kind":"\u001b","owners":[{}],"violations":-1}],)"
      R"("owners":[{"label":"\u009b<\u001b"},{"session":-1}],"violations":[{"text":"\u001b"}],)"
      R"("violation_count":18446744073709551615,"next":null,"sessions":[{}]}]})"
      "\n";
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"map"}, {"map", "--svg", "-"}, {"map", "--by", "age"}, {"top", "--once"}}) {
    const ProgramResult result = ask_stranger(absurd, command);
    EXPECT_EQ(result.exit_status, 0) << result.err;
    EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
    EXPECT_EQ(result.out.find('\x9b'), std::string::npos);
    EXPECT_LT(result.out.size(), 1U << 20);
  }
}

TEST(AllotctlStranger, WrongUsageHasItsOwnStatus) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"nonsense"},
      {"stats", "--color"},
      {"stats", "--timeout", "0"},
      {"stats", "--timeout", "never"},
      {"unpublish"},
      {"--socket", "a", "--runtime-dir", "b", "stats"}};
  for (std::vector<std::string> arguments : wrong) {
    arguments.insert(arguments.begin(), ALLOT_ALLOTCTL_PATH);
    const ProgramResult result = run_program(arguments);
    EXPECT_EQ(result.exit_status, 2) << testing::PrintToString(arguments);
    EXPECT_NE(result.err, "");
  }
}

TEST(AllotctlStranger, NamesTheCommandsToWhoKnowsNone) {
  const std::string all =
      "use stats, sessions, top, spans, map, names, arenas, bins, pools, holders, check, "
      "unpublish, "
      "version";
  const ProgramResult bogus = run_program({ALLOT_ALLOTCTL_PATH, "bogus"});
  EXPECT_THAT(bogus.err, HasSubstr("there is no command 'bogus'; " + all));
  EXPECT_THAT(run_program({ALLOT_ALLOTCTL_PATH}).err, HasSubstr("say a command; " + all));
  const ProgramResult option = run_program({ALLOT_ALLOTCTL_PATH, "stats", "--color"});
  EXPECT_THAT(option.err, HasSubstr("--color"));
  const ProgramResult first = run_program({ALLOT_ALLOTCTL_PATH, "--color"});
  EXPECT_THAT(first.err, HasSubstr("--color"));
}

TEST(AllotctlStranger, HelpAndVersionNeedNoDaemon) {
  const ProgramResult help = run_program({ALLOT_ALLOTCTL_PATH, "--help"});
  EXPECT_EQ(help.exit_status, 0);
  for (const char* const word : {"stats", "check", "Examples:", "Exit status:", "--timeout"}) {
    EXPECT_THAT(help.out, HasSubstr(word));
  }
  EXPECT_EQ(run_program({ALLOT_ALLOTCTL_PATH, "spans", "--help"}).exit_status, 0);
  const ProgramResult version = run_program({ALLOT_ALLOTCTL_PATH, "--version"});
  EXPECT_EQ(version.out, "allotctl " ALLOT_VERSION_STRING "\n");
}

}  // namespace
}  // namespace allot::test
