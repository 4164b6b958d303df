// allotctl check where no daemon can answer: by the files of its supervisor, or of a client.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <allot/session.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "shared/region/size_class.hpp"
#include "tests/support/region_parts.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

ProgramResult check_offline(pid_t pid, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {ALLOT_ALLOTCTL_PATH, "check", "--offline", std::to_string(pid)});
  return run_program(more);
}

std::set<std::string> keys_of(const std::string& answer) {
  const json::value whole = json::parse(answer);
  std::set<std::string> out;
  for (const auto& member : whole.at("regions").at(0).as_object()) {
    out.insert(std::string(member.key()));
  }
  return out;
}

ALLOT_TEST_ROLE(has_three_blocks) {
  Session session = connect_as_told(test);
  std::vector<void*> blocks(3);
  for (void*& block : blocks) block = session.allocate(1000);
  test.send(session.offer(blocks[0]).value());
  (void)test.receive<bool>();
  for (void* const block : blocks) require(session.free(block) == Errc::kOk, "free");
}

class CheckOffline : public testing::Test {
 protected:
  // Nobody starts the daemon again: its supervisor is stopped.
  void kill_daemon() {
    allotd_.supervisor.signal(SIGSTOP);
    ASSERT_EQ(::kill(allotd_.daemon(), SIGKILL), 0);
  }
  void TearDown() override { allotd_.supervisor.signal(SIGCONT); }

  [[nodiscard]] pid_t supervisor() const { return allotd_.supervisor.pid(); }
  [[nodiscard]] Session connect() const {
    return Session::connect(options_for(allotd_.supervisor.client_socket())).value();
  }
  [[nodiscard]] bool may_look() const {
    return ::access(("/proc/" + std::to_string(supervisor()) + "/fd").c_str(), R_OK | X_OK) == 0;
  }

  Supervised allotd_;
};

TEST_F(CheckOffline, FindsTheRegionOfADeadDaemonSound) {
  if (!may_look()) GTEST_SKIP() << "the supervisor's files are for root";
  Agent client("has_three_blocks");
  (void)introduce(client.link(), allotd_.supervisor);
  (void)client->receive<Handle>();
  const ProgramResult live =
      run_program({ALLOT_ALLOTCTL_PATH, "--runtime-dir", allotd_.supervisor.runtime_dir().native(),
                   "check", "--json"});
  kill_daemon();
  const ProgramResult result = check_offline(supervisor());
  EXPECT_EQ(result.exit_status, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("default: ok\n"));
  EXPECT_THAT(result.out, HasSubstr("; 3 live blocks\n"));
  EXPECT_THAT(result.out, Not(HasSubstr("not checked")));

  // The same members as the daemon's answer has, and what a check of files adds.
  const ProgramResult as_json = check_offline(supervisor(), {"--json", "--region", "default"});
  EXPECT_EQ(as_json.exit_status, 0);
  std::set<std::string> expected = keys_of(live.out);
  expected.insert("not_checked");
  EXPECT_EQ(keys_of(as_json.out), expected);
  EXPECT_EQ(check_offline(supervisor(), {"--region", "none"}).exit_status, 4);

  // And nothing was changed: the next daemon finds all.
  allotd_.supervisor.signal(SIGCONT);
  allotd_.wait_until_ready();
  client->send(true);
  EXPECT_TRUE(client.finish());
  EXPECT_TRUE(check_region(allotd_.supervisor.control_socket()).is_clean);
}

TEST_F(CheckOffline, NamesDamageInDirectoryLedgerAndCounters) {
  if (!may_look()) GTEST_SKIP() << "the supervisor's files are for root";
  Session session = connect();
  for (int i = 0; i < 10; ++i) ASSERT_NE(session.allocate(1000), nullptr);
  kill_daemon();
  const auto directory = open_region_part(supervisor(), "directory");
  const auto ledger = open_region_part(supervisor(), "ledger");
  ASSERT_EQ(check_offline(supervisor()).exit_status, 0);

  const auto expect_named = [&](const std::string& text) {
    const ProgramResult result = check_offline(supervisor());
    EXPECT_EQ(result.exit_status, 1) << result.out << result.err;
    EXPECT_THAT(result.out, HasSubstr(text));
  };
  // The descriptor of the first span: of a session that is not there.
  const std::uint64_t at = region::FileLayout::kDescriptorsOffset;
  const auto head = read_at<std::uint64_t>(directory, at);
  auto lost = region::SpanDescriptor::decode(head);
  ASSERT_TRUE(lost.is_head());
  lost.session = 4000;
  write_at(directory, at, lost.encode());
  expect_named("the span is granted to a session that is not there: granule 0, session 4000");
  lost.granules = 0;
  write_at(directory, at, lost.encode());
  expect_named("the region cannot go on: the span at granule 0 is impossible");
  write_at(directory, at, head);

  const std::uint64_t carve = region::FileLayout::kSpanLedgersOffset;
  const auto carving = read_at<std::uint64_t>(ledger, carve);
  write_at(ledger, carve, std::uint64_t{77});
  expect_named("the carve word makes no sense for the span: granule 0, 0x4d");
  write_at(ledger, carve, carving);

  const std::uint64_t counter = region::bin_of(1000) * sizeof(region::BinCounters);
  const auto allocations = read_at<std::uint64_t>(ledger, counter);
  write_at(ledger, counter, allocations + 1000);
  expect_named("live blocks by own words differ from the heaps' counters");
  write_at(ledger, counter, allocations);
  ASSERT_EQ(check_offline(supervisor()).exit_status, 0);
}

TEST_F(CheckOffline, LooksAtTheFilesOfAClient) {
  Agent client("has_three_blocks");
  (void)introduce(client.link(), allotd_.supervisor);
  const auto handle = client->receive<Handle>();
  kill_daemon();
  const ProgramResult result = check_offline(client.pid());
  EXPECT_EQ(result.exit_status, 0) << result.out << result.err;
  EXPECT_THAT(result.out, HasSubstr("default: ok\n"));
  EXPECT_THAT(result.out, HasSubstr("; 3 live blocks\n"));
  EXPECT_THAT(result.out, HasSubstr("not checked: live blocks against the heaps' counters"));
  const auto ledger = open_region_part(client.pid(), "ledger");
  const std::uint64_t carve =
      region::FileLayout::kSpanLedgersOffset +
      handle.offset_bytes() / region::kGranuleBytes * sizeof(region::SpanLedger);
  const auto carving = read_at<std::uint64_t>(ledger, carve);
  write_at(ledger, carve, std::uint64_t{77});
  EXPECT_EQ(check_offline(client.pid()).exit_status, 1);
  write_at(ledger, carve, carving);
}

TEST_F(CheckOffline, RaisesNoFalseAlarmWhileClientsRun) {
  if (!may_look()) GTEST_SKIP() << "the supervisor's files are for root";
  Session session = connect();
  // As much as it ever needs: the daemon grants nothing any more.
  std::vector<void*> blocks(200);
  for (void*& block : blocks) block = session.allocate(100);
  kill_daemon();
  std::atomic<bool> stop{false};
  std::thread checks([&] {
    for (int i = 0; i < 20; ++i) {
      const ProgramResult result = check_offline(supervisor());
      EXPECT_EQ(result.exit_status, 0) << result.out << result.err;
    }
    stop.store(true, std::memory_order_relaxed);
  });
  // In this thread, which has a heap: another could not get one.
  for (std::size_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
    void*& block = blocks[i % blocks.size()];
    EXPECT_EQ(session.free(block), Errc::kOk);
    block = session.allocate(100);
  }
  checks.join();
}

TEST_F(CheckOffline, NamesTheProcessThatItCannotLookAt) {
  const ProgramResult none = check_offline(1 << 30);
  EXPECT_EQ(none.exit_status, 4);
  EXPECT_EQ(none.err, "allotctl: No such process: process 1073741824\n");
  const ProgramResult other = check_offline(::getpid());
  EXPECT_EQ(other.exit_status, 4);
  EXPECT_THAT(other.err, HasSubstr("process " + std::to_string(::getpid()) +
                                   " has no files of a region open"));
  EXPECT_EQ(run_program({ALLOT_ALLOTCTL_PATH, "check", "--offline", "-1"}).exit_status, 2);
  EXPECT_EQ(run_program({ALLOT_ALLOTCTL_PATH, "check", "--offline", "1", "--repair"}).exit_status,
            2);
}

TEST_F(CheckOffline, SaysThatItMayNot) {
  const std::filesystem::path setpriv = "/usr/bin/setpriv";
  if (::getuid() != 0 || !std::filesystem::exists(setpriv)) GTEST_SKIP() << "needs another user";
  // A copy that this user may run, wherever the tree lies.
  const TemporaryDir scratch;
  const auto program = scratch.path() / "allotctl";
  std::filesystem::copy_file(ALLOT_ALLOTCTL_PATH, program);
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0755), 0);
  const ProgramResult result =
      run_program({setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", program, "check",
                   "--offline", std::to_string(supervisor())});
  if (result.exit_status == 127) GTEST_SKIP() << result.err;  // its library is out of reach
  EXPECT_EQ(result.exit_status, 4);
  EXPECT_THAT(result.err, HasSubstr("Permission denied: "));
  EXPECT_THAT(result.err, HasSubstr("process " + std::to_string(supervisor())));
}

}  // namespace
}  // namespace allot::test
