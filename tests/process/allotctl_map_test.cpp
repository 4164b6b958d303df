// allotctl map against a real allotd: what it draws is what the own words say, in characters and in
// colour; a word that cannot be shows in every rendering. As a file: allotctl_svg_test.cpp. The pure
// drawing is tested in unit/allotctl.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include <allot/session.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/support/control_client.hpp"
#include "tests/support/drawn_region.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class AllotctlMap : public DrawnRegion {};

std::string line_at(const std::string& text, std::size_t line) {
  std::size_t begin = 0;
  for (; line > 0; --line) begin = text.find('\n', begin) + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

std::string line_with(const std::string& text, std::string_view part) {
  const std::size_t at = text.find(part);
  if (at == std::string::npos) return {};
  const std::size_t begin = text.rfind('\n', at) + 1;
  return text.substr(begin, text.find('\n', at) - begin);
}

TEST_F(AllotctlMap, DrawsWhatOwnWordsSay) {
  RawSession session(daemon_.client_socket());
  make_spans(session);
  EXPECT_EQ(line_at(out_of({}), 1), row("0", 'j', "##_---"));
  EXPECT_EQ(line_at(out_of({"--by", "kind"}), 1), row("s", 'm', "LL_---"));
  EXPECT_EQ(line_at(out_of({"--by", "class"}), 1), row("A", 'B', "##_---"));
  EXPECT_EQ(line_at(out_of({"--by", "owner"}), 1), row("A", 'A', "AAA---"));
  const std::string text = out_of({});
  EXPECT_THAT(text, HasSubstr("region default: 64.0 MiB reserved, "));
  EXPECT_THAT(text, HasSubstr(" granted in 4 spans, "));
  EXPECT_THAT(line_with(text, " raw "), HasSubstr(" " + std::to_string(::getpid()) + " "));
  // A block is freed: the map follows the word.
  own(session, 0, 0, OwnWord::make(OwnWord::kFree, 5));
  for (std::uint32_t i = 0; i < region::kSizeClasses.at(kDrawnMediumBin).block_count; ++i) {
    own(session, 1, i, OwnWord::make(OwnWord::kFreed, 5));
  }
  EXPECT_EQ(line_at(out_of({}), 1), row("0", 'a', "##_---"));
}

TEST_F(AllotctlMap, AgreesWithCheckOnARegionInUse) {
  auto session = Session::connect({.socket_path = daemon_.client_socket(), .label = "user"});
  ASSERT_TRUE(session) << session.error().message();
  std::vector<void*> blocks;
  for (std::size_t size = 16; size < 400'000; size += size / 3) {
    blocks.push_back(session->allocate(size));
    ASSERT_NE(blocks.back(), nullptr);
  }
  const RegionCheck check = check_region(daemon_.control_socket());
  const json::object region = region_of({"--json"});
  std::uint64_t granted = 0;
  std::uint64_t live_blocks = 0;
  for (const json::value& one : region.at("items").as_array()) {
    const json::object& item = one.as_object();
    if (!item.contains("granted_bytes")) continue;
    granted += item.at("granted_bytes").to_number<std::uint64_t>();
    live_blocks += item.at("live_blocks").to_number<std::uint64_t>();
  }
  EXPECT_EQ(granted, check.granted_bytes);
  EXPECT_EQ(live_blocks, check.live_blocks);
  EXPECT_EQ(region.at("violation_count").to_number<int>(), 0);
  for (void* const block : blocks) ASSERT_EQ(session->free(block), Errc::kOk);
}

TEST_F(AllotctlMap, WrongWordShowsInEveryRendering) {
  RawSession session(daemon_.client_socket());
  make_spans(session);
  EXPECT_THAT(out_of({}), Not(HasSubstr("!")));
  EXPECT_THAT(out_of({"--svg", "-"}), Not(HasSubstr("class=\"wrong\"")));
  own(session, 1, 7, OwnWord::make(3000, 5));  // a session that is not there
  const std::string wrong = "a block is owned by a session that is not there: granule 1, word 7 = ";
  const std::string plain = out_of({});
  std::string expected = row("0", 'j', "##_---");
  expected.replace(expected.find('j'), 1, "!");
  EXPECT_EQ(line_at(plain, 1), expected);
  EXPECT_THAT(plain, HasSubstr("! 1 violation\n  " + wrong));
  const std::string color = out_of({"--color", "always"});
  EXPECT_THAT(color, HasSubstr("\x1b[1;97;41m!\x1b[0m"));
  EXPECT_THAT(color, HasSubstr(wrong));
  const std::string svg = out_of({"--svg", "-"});
  EXPECT_THAT(svg, HasSubstr("class=\"wrong\""));
  EXPECT_THAT(svg, HasSubstr(wrong));
  const json::object region = region_of({"--json"});
  const json::object& one = region.at("violations").as_array().at(0).as_object();
  EXPECT_EQ(one.at("granule").to_number<int>(), 1);
  EXPECT_EQ(one.at("index").to_number<int>(), 7);
}

TEST_F(AllotctlMap, OrphansShow) {
  {
    RawSession session(daemon_.client_socket());
    make_spans(session);
  }
  auto watcher = Session::connect({.socket_path = daemon_.client_socket(), .label = "watcher"});
  ASSERT_TRUE(watcher);
  // Its blocks are freed with it; one that somebody else owns keeps its span.
  EXPECT_THAT(out_of({}), Not(HasSubstr(" raw ")));
  RawSession keeper(daemon_.client_socket());
  {
    RawSession session(daemon_.client_socket());
    const std::uint64_t first = granted(session, 1);
    fill(session, first, kDrawnSmallBin, 0);
    own(session, first, 0, OwnWord::make(keeper.welcome.session, 5));
  }
  ask_until(keeper.client, "an orphan", [&] { return out_of({}).find('*') != std::string::npos; });
  EXPECT_THAT(out_of({}), HasSubstr("1 orphan: "));
}

TEST_F(AllotctlMap, ColoursAreForTerminalsUnlessTold) {
  RawSession session(daemon_.client_socket());
  make_spans(session);
  EXPECT_EQ(out_of({}).find('\x1b'), std::string::npos);
  EXPECT_EQ(out_of({"--color", "never"}), out_of({}));
  EXPECT_NE(out_of({"--color", "always"}).find('\x1b'), std::string::npos);
}

TEST_F(AllotctlMap, IsPutTogetherFromManyPages) {
  const DaemonProcess large(ALLOT_ALLOTD_PATH, {.config = "[[region]]\n"
                                                          "name = \"default\"\n"
                                                          "size_bytes = \"1 GiB\"\n"});
  RawSession session(large.client_socket());
  constexpr std::uint32_t kSpans = 12'000;  // more than one answer holds
  for (std::uint32_t made = 0; made < kSpans; made += 240) {
    session.grant(1, 240).as<protocol::Granted>();
  }
  const auto ask = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {ALLOT_ALLOTCTL_PATH, "map", "--runtime-dir", large.runtime_dir().native()});
    return run_program(arguments).out;
  };
  EXPECT_THAT(ask({}), HasSubstr("granted in 12000 spans"));
  EXPECT_LT(ask({}).size(), 4096U);
  const auto items = [&](const std::string& limit) {
    const json::value answer = json::parse(ask({"--json", "--limit", limit}));
    return answer.at("regions").as_array().at(0).at("items").as_array().size();
  };
  EXPECT_EQ(items("0"), kSpans + 1);
  EXPECT_EQ(items("50"), 50U);
  const json::value all = json::parse(ask({"--json", "--limit", "0"}));
  const json::value& owners = all.at("regions").as_array().at(0).at("owners");
  ASSERT_EQ(owners.as_array().size(), 1U);
  EXPECT_EQ(owners.as_array()[0].at("page_spans").to_number<std::uint32_t>(), kSpans);
}

TEST_F(AllotctlMap, NamesWhatIsWrongWithTheCommand) {
  const ProgramResult unknown = run({"--region", "none"});
  EXPECT_EQ(unknown.exit_status, 4);
  EXPECT_THAT(unknown.err, HasSubstr("'none'; there are: default"));
  EXPECT_EQ(run({"--color", "purple"}).exit_status, 2);
  EXPECT_EQ(run({"--by", "taste"}).exit_status, 2);
  EXPECT_EQ(run({"--width", "3"}).exit_status, 2);
  EXPECT_EQ(run({"--json", "--svg", "-"}).exit_status, 2);
  EXPECT_EQ(run({"--help"}).exit_status, 0);
}

}  // namespace
}  // namespace allot::test
