// allotctl holders against a real allotd and a second process: who has a block, who has it pinned, what a
// session has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include <allot/session.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/support/served_region.hpp"

namespace allot::test {
namespace {

namespace json = boost::json;
using testing::HasSubstr;

std::string text_of(const SessionId& id) {
  return std::to_string(id.session) + "." + std::to_string(id.incarnation);
}

std::string text_of(Handle handle) {
  std::array<char, 24> text{};
  std::snprintf(text.data(), text.size(), "0x%lx", handle.bits());
  return text.data();
}

ALLOT_TEST_ROLE(finds_a_frame) {
  Session session = connect_as_told(test);
  require(session.find("frame").has_value(), "the frame is not there");
  test.send(true);
  (void)test.receive<bool>();
}

class AllotctlHolders : public ServedRegion {
 protected:
  [[nodiscard]] ProgramResult run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {ALLOT_ALLOTCTL_PATH, "--runtime-dir",
                                         daemon().runtime_dir().native(), "holders"});
    return run_program(arguments);
  }
  [[nodiscard]] json::object json_of(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const ProgramResult result = run(std::move(arguments));
    EXPECT_EQ(result.exit_status, 0) << result.err;
    return json::parse(result.out).at("regions").as_array().at(0).as_object();
  }
};

// Runs of blanks made one.
std::string squeezed(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || out.empty() || out.back() != ' ') out += c;
  }
  return out;
}

TEST_F(AllotctlHolders, TellWhoOwnsABlockAndWhoHasTheSpan) {
  void* const block = session().allocate(1000);
  const auto handle = session().offer(block);
  ASSERT_TRUE(handle) << handle.error().message();
  const ProgramResult result = run({text_of(*handle)});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  const std::string out = squeezed(result.out);
  EXPECT_THAT(out, HasSubstr(text_of(*handle) + " in default: 1.0 KiB, offered, exposed\n"));
  EXPECT_THAT(out, HasSubstr("small, "));
  const std::string me = text_of(session().id()) + " live ";
  EXPECT_THAT(out, HasSubstr("block " + me));
  EXPECT_THAT(out, HasSubstr("span " + me));
  EXPECT_THAT(out, HasSubstr(" " + std::to_string(::getpid()) + " "));

  ASSERT_EQ(session().free(block), Errc::kOk);
  const ProgramResult stale = run({text_of(*handle)});
  EXPECT_EQ(stale.exit_status, 4);
  EXPECT_EQ(stale.err,
            "allotctl: the handle is stale: its block was freed: " + text_of(*handle) + "\n");
}

TEST_F(AllotctlHolders, TellWhoHasAPublishedBlockPinned) {
  const Handle handle = session().publish("frame", session().allocate(5000)).value();
  Agent finder("finds_a_frame");
  const SessionId id = introduce(finder.link(), daemon());
  ASSERT_TRUE(finder->receive<bool>());
  // As `names` prints it.
  const ProgramResult names =
      run_program({ALLOT_ALLOTCTL_PATH, "--runtime-dir", daemon().runtime_dir().native(), "names"});
  EXPECT_THAT(names.out, HasSubstr(" " + text_of(handle) + " "));
  const ProgramResult result = run({text_of(handle)});
  EXPECT_EQ(result.exit_status, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("kept"));
  EXPECT_THAT(result.out, HasSubstr("name: frame, by uid " + std::to_string(::getuid())));
  const std::string out = squeezed(result.out);
  EXPECT_THAT(out, HasSubstr("block - - - - - -\n"));
  EXPECT_THAT(out, HasSubstr("pin " + text_of(id) + " live "));
  EXPECT_THAT(out, HasSubstr(" " + std::to_string(finder.pid()) + " "));
  EXPECT_EQ(json_of({text_of(handle)}).at("pins").as_array().size(), 1U);

  const ProgramResult of = run({"--session", text_of(id)});
  EXPECT_EQ(of.exit_status, 0) << of.err;
  EXPECT_THAT(of.out, HasSubstr("session " + text_of(id) + " in default: live"));
  EXPECT_THAT(squeezed(of.out), HasSubstr("pin frame " + text_of(handle) + " 1 5.0 KiB"));
  finder->send(true);
  EXPECT_TRUE(finder.finish());
}

TEST_F(AllotctlHolders, TellWhatASessionHolds) {
  std::vector<void*> blocks(5);
  for (void*& block : blocks) block = session().allocate(1000);
  blocks.push_back(session().allocate(std::size_t{1} << 20));
  const json::object of = json_of({"--session", std::to_string(session().id().session)});
  EXPECT_EQ(of.at("live_blocks").to_number<int>(), 6);
  EXPECT_EQ(of.at("live_bytes").to_number<int>(), 5 * 1024 + (1 << 20));
  EXPECT_EQ(of.at("holder").at("pid").to_number<int>(), ::getpid());
  EXPECT_GT(of.at("holder").at("connected_unix_ns").to_number<std::uint64_t>(), 0U);
  std::uint64_t live = 0;
  std::uint64_t granted = 0;
  for (const json::value& kind : of.at("spans").as_array()) {
    live += kind.at("live_blocks").to_number<std::uint64_t>();
    granted += kind.at("granted_bytes").to_number<std::uint64_t>();
  }
  EXPECT_EQ(live, 6U);
  EXPECT_EQ(granted, check().granted_bytes);
  for (void* const block : blocks) ASSERT_EQ(session().free(block), Errc::kOk);
}

TEST_F(AllotctlHolders, NameWhatIsWrong) {
  const auto error_of = [&](std::vector<std::string> arguments, int status) {
    const ProgramResult result = run(std::move(arguments));
    EXPECT_EQ(result.exit_status, status) << result.out;
    return result.err;
  };
  EXPECT_THAT(error_of({"frame"}, 4), HasSubstr("not 'frame'"));
  EXPECT_THAT(error_of({"0x1"}, 4), HasSubstr("another region: 0x1; looked at: default"));
  EXPECT_THAT(error_of({"--session", "x.1"}, 4), HasSubstr("not 'x.1'"));
  EXPECT_THAT(error_of({"--session", "17.0"}, 4), HasSubstr("not '17.0'"));
  EXPECT_THAT(error_of({"--session", "4000"}, 4), HasSubstr("there is no such session: 4000; "));
  const SessionId gone{session().id().session, 0, session().id().incarnation + 1};
  EXPECT_THAT(error_of({"--session", text_of(gone)}, 4), HasSubstr(text_of(gone)));
  EXPECT_NE(error_of({}, 2), "");
  EXPECT_NE(error_of({"0x1", "--session", "16"}, 2), "");
}

}  // namespace
}  // namespace allot::test
