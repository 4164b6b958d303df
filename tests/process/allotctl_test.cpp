// allotctl against a real allotd: what its tables and its JSON say about a region in use, and its exit
// status. Without a daemon, or with something else in its place: allotctl_stranger_test.cpp.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <allot/session.hpp>
#include <allot/version.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "shared/region/layout.hpp"
#include "tests/support/control_client.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/seed.hpp"

namespace allot::test {
namespace {

namespace json = boost::json;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Allotctl : public testing::Test {
 protected:
  [[nodiscard]] ProgramResult run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     {ALLOT_ALLOTCTL_PATH, "--runtime-dir", daemon_.runtime_dir().native()});
    return run_program(arguments);
  }

  [[nodiscard]] json::object json_of(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_status, 0) << result.err;
    return json::parse(result.out).as_object();
  }

  [[nodiscard]] Session connect() const {
    auto session = Session::connect({.socket_path = daemon_.client_socket(), .label = "tester"});
    if (!session) throw std::runtime_error(session.error().message());
    return *session;
  }

  DaemonProcess daemon_{ALLOT_ALLOTD_PATH,
                        {.config = "[[region]]\n"
                                   "name = \"default\"\n"
                                   "size_bytes = \"1 GiB\"\n"
                                   "[[region]]\n"
                                   "name = \"other\"\n"
                                   "size_bytes = \"64 MiB\"\n"}};
};

// The line of `text` that starts with `start`, its runs of blanks made one.
std::string line_of(const std::string& text, std::string_view start) {
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    if (!std::string_view(line).starts_with(start)) continue;
    std::string out;
    for (const char c : line) {
      if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
    }
    return out;
  }
  return {};
}

TEST_F(Allotctl, StatsShowsEachRegionInALine) {
  const ProgramResult result = run({"stats"});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_THAT(line_of(result.out, "REGION"),
              "REGION RESERVED COMMITTED LIVE CACHED SESSIONS GRANTS/S");
  EXPECT_THAT(line_of(result.out, "default"), StartsWith("default 1.0 GiB "));
  EXPECT_THAT(line_of(result.out, "other"), StartsWith("other 64.0 MiB "));
  const ProgramResult one = run({"stats", "--region", "other"});
  EXPECT_EQ(one.exit_status, 0);
  EXPECT_THAT(one.out, Not(HasSubstr("default")));
}

TEST_F(Allotctl, StatsFollowWhatAClientDoes) {
  Session session = connect();
  void* const block = session.allocate(std::size_t{10} << 20);
  ASSERT_NE(block, nullptr);
  const ProgramResult result = run({"stats", "--region", "default", "--full"});
  EXPECT_EQ(line_of(result.out, "    live"), "live 10.0 MiB in 1 block");
  EXPECT_THAT(line_of(result.out, "  sessions"), HasSubstr("sessions 1 "));
  ASSERT_EQ(session.free(block), Errc::kOk);
  const json::object answer = json_of({"stats", "--region", "default"});
  const json::object& region = answer.at("regions").as_array().at(0).as_object();
  EXPECT_EQ(region.at("live_blocks").to_number<int>(), 0);
  EXPECT_EQ(region.at("live_bytes").to_number<std::uint64_t>() +
                region.at("cached_bytes").to_number<std::uint64_t>() +
                region.at("tail_bytes").to_number<std::uint64_t>(),
            region.at("granted_bytes").to_number<std::uint64_t>());
}

TEST_F(Allotctl, SessionsNameWhoIsThere) {
  Session session = connect();
  void* const block = session.allocate(1000);
  ASSERT_TRUE(session.offer(block));
  const ProgramResult result = run({"sessions"});
  EXPECT_EQ(result.exit_status, 0);
  const std::string id =
      std::to_string(session.id().session) + "." + std::to_string(session.id().incarnation);
  EXPECT_THAT(line_of(result.out, "default"),
              StartsWith("default " + id + " live tester " + std::to_string(::getpid()) + " "));
  const json::object answer = json_of({"sessions", "--region", "default"});
  const json::object& one =
      answer.at("regions").as_array().at(0).at("sessions").as_array().at(0).as_object();
  EXPECT_EQ(one.at("offered_blocks").to_number<int>(), 1);
  EXPECT_EQ(one.at("live_bytes").to_number<int>(), 1024);
  ASSERT_EQ(session.free(block), Errc::kOk);
}

TEST_F(Allotctl, SpansAreListedToTheLimit) {
  RawSession session(daemon_.client_socket());
  session.grant(2, 30).as<protocol::Granted>();
  const ProgramResult all = run({"spans", "--limit", "0"});
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 31) << all.out;
  EXPECT_THAT(line_of(all.out, "default"),
              StartsWith("default 0 128.0 KiB session " + std::to_string(session.welcome.session) +
                         " none "));
  const ProgramResult some = run({"spans", "--limit", "10", "--region", "default"});
  EXPECT_EQ(std::count(some.out.begin(), some.out.end(), '\n'), 12) << some.out;
  EXPECT_THAT(some.out, HasSubstr("more spans in default; see --limit"));
}

TEST_F(Allotctl, SpansAreCollectedFromManyPages) {
  RawSession session(daemon_.client_socket());
  constexpr std::uint32_t kSpans = 12'000;  // more than one answer holds
  for (std::uint32_t granted = 0; granted < kSpans; granted += 240) {
    session.grant(1, 240).as<protocol::Granted>();
  }
  const json::object answer = json_of({"spans", "--limit", "0", "--region", "default"});
  const json::object& region = answer.at("regions").as_array().at(0).as_object();
  const json::array& spans = region.at("spans").as_array();
  ASSERT_EQ(spans.size(), kSpans);
  for (std::uint32_t i = 0; i < kSpans; ++i) {
    ASSERT_EQ(spans[i].at("first").to_number<std::uint32_t>(), i);
  }
  EXPECT_TRUE(region.at("next").is_null());
}

TEST_F(Allotctl, NamesAreListedAndTakenAway) {
  Session session = connect();
  void* const block = session.allocate(5000);
  const auto handle = session.publish("frame/1", block);
  ASSERT_TRUE(handle) << handle.error().message();
  const ProgramResult names = run({"names"});
  EXPECT_THAT(line_of(names.out, "default"), ContainsRegex("default frame/1 0x[0-9a-f]+ 5.0 KiB"));

  const ProgramResult stale = run({"unpublish", "frame/1", "0x1234"});
  EXPECT_EQ(stale.exit_status, 4);
  EXPECT_THAT(stale.err, HasSubstr("stale"));
  const ProgramResult gone = run({"unpublish", "frame/1"});
  EXPECT_EQ(gone.exit_status, 0) << gone.err;
  EXPECT_THAT(gone.out, HasSubstr("unpublished frame/1"));
  const ProgramResult again = run({"unpublish", "frame/1"});
  EXPECT_EQ(again.exit_status, 4);
  EXPECT_THAT(again.err, HasSubstr("no block has this name: frame/1"));
  EXPECT_EQ(session.find("frame/1").error(), Errc::kNameUnknown);
}

TEST_F(Allotctl, CheckFindsRegionInUseSound) {
  Session session = connect();
  std::vector<void*> blocks;
  for (std::size_t size = 16; size < 200'000; size += size / 3) {
    blocks.push_back(session.allocate(size));
    ASSERT_NE(blocks.back(), nullptr);
  }
  const ProgramResult result = run({"check"});
  EXPECT_EQ(result.exit_status, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("default: ok\n"));
  EXPECT_THAT(result.out, HasSubstr("other: ok\n"));
  EXPECT_THAT(result.out, HasSubstr(std::to_string(blocks.size()) + " live blocks"));
  for (void* const block : blocks) ASSERT_EQ(session.free(block), Errc::kOk);
}

// Allocates, frees and publishes until it is told to stop, so that a check meets everything in motion.
void churn(Session session, std::uint64_t seed, const std::atomic<bool>& stop) {
  Random random(seed);
  std::vector<void*> blocks;
  const std::string name = "churn/" + std::to_string(seed);
  while (!stop.load(std::memory_order_relaxed)) {
    const std::size_t size = random.percent(98) ? 1 + random.below(4000U) : 100'000;
    if (void* const block = session.allocate(size); block != nullptr) blocks.push_back(block);
    if (blocks.size() > 500 || random.percent(45)) {
      const std::size_t victim = random.below(blocks.size());
      EXPECT_EQ(session.free(blocks[victim]), Errc::kOk);
      blocks[victim] = blocks.back();
      blocks.pop_back();
    }
    if (random.percent(1) && !blocks.empty()) {
      const auto handle = session.publish(name, blocks.back());
      EXPECT_TRUE(handle) << handle.error().message();
      blocks.pop_back();
      EXPECT_TRUE(session.unpublish(name, *handle));
      (void)session.trim();
    }
  }
  for (void* const block : blocks) EXPECT_EQ(session.free(block), Errc::kOk);
}

TEST_F(Allotctl, CheckRaisesNoFalseAlarmWhileClientsRun) {
  Session session = connect();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    threads.emplace_back([&, seed] { churn(session, seed, stop); });
  }
  for (int i = 0; i < 20; ++i) {
    const ProgramResult result = run({"check"});
    EXPECT_EQ(result.exit_status, 0) << result.out << result.err;
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads) thread.join();
  const RegionCheck after = check_region(daemon_.control_socket());
  EXPECT_TRUE(after.is_clean && after.is_exact) << after.text;
  EXPECT_EQ(after.live_blocks, 0U) << after.text;
}

TEST_F(Allotctl, CheckNamesDamageAndFails) {
  RawSession session(daemon_.client_socket());
  const auto granted = session.grant(1).as<protocol::Granted>();
  // What any member can do: a carve word that makes no sense.
  const std::uint64_t carve = 77;
  const auto offset = static_cast<off_t>(region::FileLayout::kSpanLedgersOffset +
                                         granted.first * sizeof(region::SpanLedger));
  ASSERT_EQ(::pwrite(session.ledger.get(), &carve, sizeof(carve), offset),
            static_cast<ssize_t>(sizeof(carve)));
  const ProgramResult result = run({"check"});
  EXPECT_EQ(result.exit_status, 1) << result.out;
  EXPECT_THAT(result.out, HasSubstr("default: 1 violation"));
  EXPECT_THAT(result.out, HasSubstr("the carve word makes no sense for the span: granule " +
                                    std::to_string(granted.first) + ", 0x4d"));
  EXPECT_THAT(result.out, HasSubstr("other: ok"));
  EXPECT_EQ(run({"check", "--json"}).exit_status, 1);
  EXPECT_EQ(run({"check", "--region", "other"}).exit_status, 0);
}

TEST_F(Allotctl, VersionNamesBothPrograms) {
  const ProgramResult result = run({"version"});
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_THAT(result.out, HasSubstr("allotctl " ALLOT_VERSION_STRING "\n"));
  EXPECT_THAT(result.out,
              HasSubstr("allotd " ALLOT_VERSION_STRING " in " + daemon_.runtime_dir().native()));
}

TEST_F(Allotctl, UnknownRegionIsAnErrorOfTheDaemon) {
  const ProgramResult result = run({"stats", "--region", "none"});
  EXPECT_EQ(result.exit_status, 4);
  EXPECT_THAT(result.err, HasSubstr("'none'; there are: default, other"));
  const ProgramResult as_json = run({"stats", "--region", "none", "--json"});
  EXPECT_EQ(as_json.exit_status, 4);
  EXPECT_EQ(json::parse(as_json.out).at("error").at("name").as_string(), "unknown_region");
}

TEST_F(Allotctl, DaemonSurvivesHostileLines) {
  const auto expect_refused = [&](std::string_view line) {
    EXPECT_THAT(ask_control_socket(daemon_.control_socket(), line), HasSubstr("\"ok\":false"));
  };
  expect_refused("");
  expect_refused("{");
  expect_refused(std::string(60'000, '['));
  expect_refused(std::string(60'000, ' '));
  expect_refused("{\"request\":\"\xFF\xFE\"}");
  expect_refused(R"({"request":["stats"]})");
  expect_refused(R"({"request":"spans","region":"default","first":1e308})");
  expect_refused(std::string_view("\0\0\0\0", 4));
  EXPECT_EQ(run({"check"}).exit_status, 0);
}

}  // namespace
}  // namespace allot::test
