// allotctl top against a real allotd: its sums add up, it outlives the daemon, and it leaves the
// terminal as it was. How rates come about is tested in unit/allotctl.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <string_view>
#include <vector>

#include <allot/session.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/watched_program.hpp"

namespace allot::test {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using On = WatchedProgram::On;

const std::string kFrame = "BUSIEST";  // the last table of a frame begins with it

class AllotctlTop : public testing::Test {
 protected:
  [[nodiscard]] std::vector<std::string> command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     {ALLOT_ALLOTCTL_PATH, "top", "--runtime-dir", daemon_.runtime_dir().native()});
    return arguments;
  }
  [[nodiscard]] ProgramResult run(const std::vector<std::string>& arguments) const {
    return run_program(command(arguments));
  }
  [[nodiscard]] Session connect(const std::string& label) const {
    return Session::connect({.socket_path = daemon_.client_socket(), .label = label}).value();
  }
  [[nodiscard]] json::object region_now() const {
    const ProgramResult result = run({"--once", "--json"});
    EXPECT_EQ(result.exit_status, 0) << result.err;
    return json::parse(result.out).at("regions").as_array().at(0).as_object();
  }

  DaemonProcess daemon_{ALLOT_ALLOTD_PATH};
};

std::uint64_t number(const json::object& object, const char* key) {
  return object.at(key).to_number<std::uint64_t>();
}

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

bool is_same(const termios& a, const termios& b) {
  return a.c_lflag == b.c_lflag && a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag &&
         a.c_cc[VMIN] == b.c_cc[VMIN] && a.c_cc[VTIME] == b.c_cc[VTIME];
}

TEST_F(AllotctlTop, NumbersOfOneReadingAddUp) {
  Session session = connect("adder");
  std::vector<void*> blocks;
  for (std::size_t size = 16; size < 300'000; size += size / 2) {
    blocks.push_back(session.allocate(size));
    ASSERT_NE(blocks.back(), nullptr);
  }
  ASSERT_EQ(session.free(blocks.back()), Errc::kOk);
  const json::object region = region_now();
  EXPECT_TRUE(region.at("exact").as_bool());
  EXPECT_GT(number(region, "cached_bytes"), 0U);
  EXPECT_EQ(number(region, "live_bytes") + number(region, "cached_bytes") +
                number(region, "free_bytes") + number(region, "tail_bytes"),
            number(region, "granted_bytes"));
  EXPECT_LE(number(region, "granted_bytes"), number(region, "most_granted_bytes"));
  EXPECT_EQ(number(region, "most_granted_bytes") + number(region, "least_room_bytes"),
            number(region, "commit_limit_bytes"));
  EXPECT_GT(number(region, "least_available_bytes"), 0U);
  const json::array& sessions = region.at("sessions").as_array();
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(number(sessions[0].as_object(), "allocations"), blocks.size());
  EXPECT_EQ(number(sessions[0].as_object(), "frees"), 1U);
  EXPECT_GT(number(sessions[0].as_object(), "grants"), 0U);
  blocks.pop_back();
  for (void* const block : blocks) ASSERT_EQ(session.free(block), Errc::kOk);
}

TEST_F(AllotctlTop, RemembersLowWaterMarks) {
  Session session = connect("peak");
  void* const block = session.allocate(std::size_t{64} << 20);
  ASSERT_NE(block, nullptr);
  ASSERT_EQ(session.free(block), Errc::kOk);
  (void)session.trim();
  const json::object region = region_now();
  EXPECT_LT(number(region, "granted_bytes"), std::uint64_t{64} << 20);
  EXPECT_GE(number(region, "most_granted_bytes"), std::uint64_t{64} << 20);
}

TEST_F(AllotctlTop, PrintsSoManyFramesForScripts) {
  const Session session = connect("\x1b[2Jx\x9b");
  const ProgramResult result = run({"--count", "3", "--interval", "0.01"});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_EQ(count_of(result.out, "REGION   RESERVED"), 3U);
  EXPECT_EQ(count_of(result.out, "LOW WATER"), 3U);
  EXPECT_EQ(count_of(result.out, "?[2Jx?"), 3U);
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos) << "no terminal, nothing to clear";
  EXPECT_EQ(count_of(run({"--once"}).out, kFrame), 1U);
  EXPECT_EQ(count_of(run({"--count", "2", "--interval", "0.01", "--json"}).out, "\"ok\": true"),
            2U);
}

TEST_F(AllotctlTop, OutlivesTheDaemon) {
  const RawSession session(daemon_.client_socket());
  WatchedProgram top(command({"--interval", "0.01"}), On::kPipe);
  top.read_to(kFrame);
  daemon_.kill();
  top.read_to("allotd is away, trying again every 0.0 s: ");
  const DaemonProcess next(ALLOT_ALLOTD_PATH, {.runtime_dir = daemon_.runtime_dir()});
  const RawSession again(next.client_socket());
  top.read_to(kFrame);
  top.signal(SIGTERM);
  EXPECT_EQ(top.wait(), 0);
}

TEST_F(AllotctlTop, QuitsOnAKeyAndLeavesTheTerminalAsItWas) {
  const RawSession session(daemon_.client_socket());
  for (const char* const keys : {"q", "xyQ", "\x03"}) {
    WatchedProgram top(command({}), On::kTerminal);
    const termios before = top.settings_before();
    EXPECT_THAT(top.read_to(kFrame), HasSubstr("\x1b[H\x1b[2J"));
    EXPECT_FALSE(is_same(top.settings(), before));
    top.type(keys);
    EXPECT_EQ(top.wait(), 0) << keys;
    EXPECT_TRUE(is_same(top.settings(), before));
  }
}

TEST_F(AllotctlTop, QuitsWhileTheDaemonDoesNotAnswer) {
  const RawSession session(daemon_.client_socket());
  daemon_.signal(SIGSTOP);
  WatchedProgram top(command({"--timeout", "3600"}), On::kTerminal);
  top.type("q");
  EXPECT_EQ(top.wait(), 0);
  daemon_.signal(SIGCONT);
}

TEST_F(AllotctlTop, ScriptsLearnThatNoDaemonAnswers) {
  daemon_.kill();
  for (const char* const count : {"1", "3"}) {
    const ProgramResult result = run({"--count", count, "--interval", "0.01"});
    EXPECT_EQ(result.exit_status, 3);
    EXPECT_THAT(result.err, HasSubstr("no allotd answers: looked at "));
  }
}

TEST_F(AllotctlTop, NamesWhatIsWrongWithTheCommand) {
  const ProgramResult unknown = run({"--region", "none"});
  EXPECT_EQ(unknown.exit_status, 4) << "at once, for it will not get better";
  EXPECT_THAT(unknown.err, HasSubstr("'none'; there are: default"));
  EXPECT_EQ(run({"--count", "0"}).exit_status, 2);
  EXPECT_EQ(run({"--count", "2", "--once"}).exit_status, 2);
  EXPECT_EQ(run({"--interval", "0"}).exit_status, 2);
}

}  // namespace
}  // namespace allot::test
