// ControlQuery::parse(): sound lines are taken apart, everything else is refused with what is wrong.

#include "daemon/control_query.hpp"

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/control_requests.hpp"
#include "tests/support/seed.hpp"

namespace allot::daemon {
namespace {

using testing::HasSubstr;
using Kind = ControlQuery::Kind;

std::string error_of(std::string_view line) {
  const auto query = ControlQuery::parse(line);
  if (query) return "none";
  EXPECT_EQ(query.error(), Errc::kBadMessage);
  return query.error().detail;
}

void expect_refused(std::string_view line, const char* why) {
  EXPECT_THAT(error_of(line), HasSubstr(why)) << line;
}

TEST(ControlQuery, TakesEachRequest) {
  for (const Kind kind : {Kind::kVersion, Kind::kStats, Kind::kSessions, Kind::kTop, Kind::kSpans,
                          Kind::kMap, Kind::kNames, Kind::kCheck}) {
    const auto query =
        ControlQuery::parse(R"({"request":")" + std::string(query_name(kind)) + "\"}");
    ASSERT_TRUE(query) << query.error().message();
    EXPECT_EQ(query->kind, kind);
    EXPECT_FALSE(query->region);
  }
}

TEST(ControlQuery, TakesMembersOfSpans) {
  const auto query =
      ControlQuery::parse(R"( {"region":"r", "limit":7, "first":5, "request":"spans"} )");
  ASSERT_TRUE(query) << query.error().message();
  EXPECT_EQ(query->region, "r");
  EXPECT_EQ(query->first_granule, 5U);
  EXPECT_EQ(query->limit, 7U);
}

TEST(ControlQuery, TakesHandleInHexAndDecimal) {
  for (const char* const handle : {"0xff00000000000001", "18374686479671623681"}) {
    const auto query =
        ControlQuery::parse(R"({"request":"unpublish","region":"r","name":"n","handle":")" +
                            std::string(handle) + "\"}");
    ASSERT_TRUE(query) << query.error().message();
    ASSERT_TRUE(query->handle);
    EXPECT_EQ(query->handle->bits(), 0xFF00000000000001U);
    EXPECT_EQ(query->name, "n");
  }
}

TEST(ControlQuery, TakesMembersOfHolders) {
  const auto block = ControlQuery::parse(R"({"request":"holders","handle":"0x2a"})");
  ASSERT_TRUE(block) << block.error().message();
  EXPECT_EQ(block->handle, Handle::from_bits(42));
  const auto session =
      ControlQuery::parse(R"({"request":"holders","region":"r","session":17,"incarnation":4})");
  ASSERT_TRUE(session) << session.error().message();
  EXPECT_FALSE(session->handle);
  EXPECT_EQ(session->session, 17U);
  EXPECT_EQ(session->incarnation, 4U);
  expect_refused(R"({"request":"holders"})", "needs a \"handle\" or a \"session\"");
  expect_refused(R"({"request":"holders","handle":"0x1","session":17})", "needs a \"handle\" or");
  expect_refused(R"({"request":"holders","handle":"0x1","incarnation":1})", "needs a \"session\"");
  expect_refused(R"({"request":"holders","handle":"frame"})", "not 'frame'");
  expect_refused(R"({"request":"holders","session":15})", "\"session\" must be 16 to 4095");
  expect_refused(R"({"request":"holders","session":4096})", "\"session\" must be 16 to 4095");
}

TEST(ControlQuery, TakesRepairOfCheckOnly) {
  EXPECT_TRUE(ControlQuery::parse(R"({"request":"check","repair":true})")->repair);
  EXPECT_FALSE(ControlQuery::parse(R"({"request":"check","repair":false})")->repair);
  EXPECT_FALSE(ControlQuery::parse(R"({"request":"check"})")->repair);
  expect_refused(R"({"request":"check","repair":1})", "\"repair\" must be true or false");
  expect_refused(R"({"request":"stats","repair":true})", "unknown member 'repair'");
}

TEST(ControlQuery, NamesWhatIsWrong) {
  expect_refused("", "not JSON");
  expect_refused("stats", "not JSON");
  expect_refused("{\"request\":\"stats\"} {", "not JSON");
  expect_refused("{\"request\":\"\xC3\x28\"}", "not JSON");
  expect_refused(std::string_view("{\"request\":\"st\0ats\"}", 20), "not JSON");
  expect_refused("[1,2]", "JSON object");
  expect_refused("null", "JSON object");
  expect_refused("{}", "\"request\" is missing");
  expect_refused(R"({"request":7})", "\"request\" must be a string");
  expect_refused(R"({"request":"nonsense"})", "unknown request 'nonsense'");
  expect_refused(R"({"request":"stats","region":7})", "\"region\" must be a string");
  expect_refused(R"({"request":"stats","color":"red"})", "unknown member 'color'");
  expect_refused(R"({"request":"version","region":"default"})", "unknown member 'region'");
  expect_refused(R"({"request":"spans","first":0})", "needs a \"region\"");
  expect_refused(R"({"request":"spans","region":"default","first":-1})", "whole number");
  expect_refused(R"({"request":"spans","region":"default","first":1.5})", "whole number");
  expect_refused(R"({"request":"spans","region":"default","first":1e30})", "whole number");
  expect_refused(R"({"request":"spans","limit":0})", "\"limit\" must be");
  expect_refused(R"({"request":"spans","limit":10001})", "\"limit\" must be");
  expect_refused(R"({"request":"unpublish","region":"default","name":"x"})", "unpublish needs");
  expect_refused(R"({"request":"unpublish","region":"default","name":"x","handle":"0x"})",
                 "\"handle\" must be");
  expect_refused(R"({"request":"unpublish","region":"default","name":"x","handle":"12z"})",
                 "\"handle\" must be");
}

TEST(ControlQuery, RefusesHugeAndDeepLines) {
  expect_refused(std::string(1 << 20, '['), "at most");
  expect_refused(std::string(kMaxControlLineBytes, '['), "not JSON");
  expect_refused(R"({"request":)" + std::string(500, '[') + std::string(500, ']') + "}",
                 "not JSON");
}

TEST(ControlQuery, QuotesLittleOfWhatItRefuses) {
  const std::string name(3000, 'x');
  EXPECT_LT(error_of(R"({"request":")" + name + "\"}").size(), 300U);
  expect_refused("{\"request\":\"a\\u001bb\"}", "'a?b'");
}

TEST(ControlQuery, SurvivesAnyBytes) {
  const std::string sound =
      R"({"request":"unpublish","region":"default","name":"frame","handle":"0x123"})";
  const auto range = test::seeds(5000);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    test::SeedScope scope(__FILE__, __LINE__, range.first + i);
    test::Random random(range.first + i);
    std::string line =
        sound.substr(0, random.percent(80) ? sound.size() : random.below(sound.size()));
    for (std::uint32_t changes = random.below(6U); changes > 0 && !line.empty(); --changes) {
      line[random.below(line.size())] = static_cast<char>(random.next());
    }
    const auto query = ControlQuery::parse(line);
    if (!query) {
      EXPECT_FALSE(query.error().detail.empty());
    }
  }
}

}  // namespace
}  // namespace allot::daemon
