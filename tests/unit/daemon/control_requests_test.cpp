// The control socket's requests: every answer is one line of JSON that says what the region holds,
// whatever the line was; only an administrator changes anything.

#include "daemon/control_requests.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <allot/version.hpp>

#include "tests/support/control_fixture.hpp"
#include "tests/support/seed.hpp"

namespace allot::daemon {
namespace {

using testing::HasSubstr;

class ControlRequests : public ControlFixture {};

std::uint64_t number(const json::object& object, const char* key) {
  return object.at(key).to_number<std::uint64_t>();
}

TEST_F(ControlRequests, SaysVersionAndStatus) {
  json::object answer = ask(R"({"request":"version"})");
  EXPECT_TRUE(answer["ok"].as_bool());
  EXPECT_EQ(answer["version"].as_string(), ALLOT_VERSION_STRING);
  EXPECT_EQ(answer["runtime_dir"].as_string(), "/run/allot");
  EXPECT_EQ(number(answer, "started_unix_ns"), 7U);
  EXPECT_EQ(number(answer, "connections"), 3U);
  EXPECT_EQ(number(answer, "bad_peers"), 2U);
}

TEST_F(ControlRequests, GivesStatsOfAllRegionsOrOne) {
  EXPECT_EQ(ask(R"({"request":"stats"})")["regions"].as_array().size(), 2U);
  json::object answer = ask(R"({"request":"stats","region":"other"})");
  ASSERT_EQ(answer["regions"].as_array().size(), 1U);
  EXPECT_EQ(answer["regions"].as_array()[0].at("region").as_string(), "other");
}

TEST_F(ControlRequests, GivesLadderOfRegion) {
  (void)own(0);
  (void)own(1);
  const json::object region = ask_region(R"({"request":"stats","region":"default"})");
  EXPECT_EQ(number(region, "reserved_bytes"), kControlGranules * region::kGranuleBytes);
  EXPECT_EQ(number(region, "commit_limit_bytes"), core::Limits{}.commit_limit_bytes);
  EXPECT_EQ(number(region.at("committed").as_object(), "total_bytes"), 7000U);
  EXPECT_EQ(number(region, "granted_bytes"), 2 * region::kGranuleBytes);
  EXPECT_EQ(number(region, "live_bytes"), 2048U);
  EXPECT_EQ(number(region, "live_blocks"), 2U);
  EXPECT_EQ(number(region, "live_bytes") + number(region, "cached_bytes") +
                number(region, "free_bytes") + number(region, "tail_bytes"),
            number(region, "granted_bytes"));
  EXPECT_EQ(number(region, "high_water_bytes"), 2 * region::kGranuleBytes);
  EXPECT_EQ(number(region, "sessions"), 1U);
  EXPECT_EQ(number(region, "grants"), 1U);
  EXPECT_GT(region.at("grants_per_second").as_double(), 0.0);
}

TEST_F(ControlRequests, RemembersHowLowItWas) {
  const json::object before = ask_region(R"({"request":"stats","region":"other"})");
  EXPECT_EQ(number(before, "most_granted_bytes"), 0U);
  EXPECT_FALSE(before.contains("least_available_bytes"));
  for (const std::uint64_t available : {3U, 2U, 5U}) {
    EXPECT_FALSE(core().plan_grant(session_, {1, 1, 1024, 1}, available << 20));
  }
  ASSERT_TRUE(core().return_spans(session_, {grant(session_, 4)}, kControlNow));
  (void)grant(session_, 1);
  const json::object region = ask_region(R"({"request":"stats","region":"default"})");
  EXPECT_EQ(number(region, "granted_bytes"), 3 * region::kGranuleBytes);
  EXPECT_EQ(number(region, "most_granted_bytes"), 6 * region::kGranuleBytes);
  EXPECT_EQ(number(region, "least_room_bytes"),
            core::Limits{}.commit_limit_bytes - 6 * region::kGranuleBytes);
  EXPECT_EQ(number(region, "least_available_bytes"), 2U << 20);
}

TEST_F(ControlRequests, GivesLadderAndSessionsOfOneReading) {
  (void)own(0);
  const json::object region = ask_region(R"({"request":"top","region":"default"})");
  EXPECT_EQ(number(region, "live_bytes") + number(region, "cached_bytes") +
                number(region, "free_bytes") + number(region, "tail_bytes"),
            number(region, "granted_bytes"));
  EXPECT_GT(number(region, "now_monotonic_ns"), 0U);
  const json::array& sessions = region.at("sessions").as_array();
  ASSERT_EQ(sessions.size(), 1U);
  EXPECT_EQ(number(sessions[0].as_object(), "live_bytes"), number(region, "live_bytes"));
  EXPECT_EQ(number(sessions[0].as_object(), "grants"), 1U);
  EXPECT_EQ(ask(R"({"request":"top"})")["regions"].as_array().size(), 2U);
}

TEST_F(ControlRequests, ListsSessions) {
  (void)own(3, OwnWord::kExposed | OwnWord::kOffered);
  const std::uint32_t second = open_session("bad\x01\xFFname");
  const json::object region = ask_region(R"({"request":"sessions","region":"default"})");
  const json::array& sessions = region.at("sessions").as_array();
  ASSERT_EQ(sessions.size(), 2U);
  const json::object& first = sessions[0].as_object();
  EXPECT_EQ(number(first, "session"), session_);
  EXPECT_EQ(first.at("label").as_string(), "maker");
  EXPECT_EQ(first.at("state").as_string(), "live");
  EXPECT_EQ(number(first, "pid"), 4711U);
  EXPECT_EQ(number(first, "granted_bytes"), 2 * region::kGranuleBytes);
  EXPECT_EQ(number(first, "live_bytes"), 1024U);
  EXPECT_EQ(number(first, "offered_blocks"), 1U);
  EXPECT_EQ(number(first, "exposed_blocks"), 1U);
  EXPECT_EQ(number(sessions[1].as_object(), "session"), second);
  EXPECT_EQ(sessions[1].at("label").as_string(), "bad??name");
}

TEST_F(ControlRequests, ListsMoreSessionsThanOneSliceHas) {
  for (int i = 0; i < 300; ++i) (void)open_session("many");
  const json::object region = ask_region(R"({"request":"sessions","region":"default"})");
  EXPECT_EQ(region.at("sessions").as_array().size(), 301U);
}

TEST_F(ControlRequests, ListsSpansInPages) {
  for (const std::uint32_t granules : {1U, 2U, 1U, 2U, 1U}) (void)grant(session_, granules);
  const json::object first = ask_region(R"({"request":"spans","region":"default","limit":4})");
  ASSERT_EQ(first.at("spans").as_array().size(), 4U);
  const json::object& span = first.at("spans").as_array()[0].as_object();
  EXPECT_EQ(number(span, "first"), span_);
  EXPECT_EQ(span.at("carving").as_string(), "blocks");
  EXPECT_EQ(number(span, "block_bytes"), 1024U);
  EXPECT_EQ(number(span, "blocks"), 128U);
  EXPECT_EQ(number(span, "uid"), 1000U);
  const json::object rest =
      ask_region(R"({"request":"spans","region":"default","limit":4,"first":)" +
                 std::to_string(number(first, "next")) + "}");
  EXPECT_EQ(rest.at("spans").as_array().size(), 2U);
  EXPECT_TRUE(rest.at("next").is_null());
}

TEST_F(ControlRequests, ListsNamesVisibleAndHidden) {
  const Handle frame = own(5, OwnWord::kExposed | OwnWord::kOffered);
  const Handle table = own(6, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(core().publish(session_, "frame", frame, kControlNow));
  ASSERT_TRUE(core().publish(session_, "table", table, kControlNow));
  ASSERT_TRUE(core().find(session_, "table"));
  ASSERT_TRUE(core().unpublish(session_, "table", table, false, kControlNow));
  const json::object region = ask_region(R"({"request":"names","region":"default"})");
  const json::array& names = region.at("names").as_array();
  ASSERT_EQ(names.size(), 2U);
  EXPECT_EQ(names[0].at("name").as_string(), "frame");
  EXPECT_EQ(names[0].at("state").as_string(), "visible");
  EXPECT_EQ(number(names[0].as_object(), "size_bytes"), 1024U);
  EXPECT_EQ(names[1].at("state").as_string(), "hidden");
  EXPECT_EQ(number(names[1].as_object(), "pins"), 1U);
}

TEST_F(ControlRequests, ListsMoreNamesThanOneSliceHas) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    const Handle handle = own(i, OwnWord::kExposed | OwnWord::kOffered);
    ASSERT_TRUE(core().publish(session_, "n" + std::to_string(i), handle, kControlNow));
  }
  const json::object region = ask_region(R"({"request":"names"})");
  EXPECT_EQ(region.at("names").as_array().size(), 100U);
}

TEST_F(ControlRequests, FindsNoViolationInHealthyRegion) {
  const json::object region = ask_region(R"({"request":"check","region":"default"})");
  EXPECT_TRUE(region.at("clean").as_bool());
  EXPECT_TRUE(region.at("exact").as_bool());
  EXPECT_TRUE(region.at("violations").as_array().empty());
}

TEST_F(ControlRequests, NamesViolation) {
  memory_.view().word(span_, 7).store_relaxed(0);
  const json::object region = ask_region(R"({"request":"check","region":"default"})");
  EXPECT_FALSE(region.at("clean").as_bool());
  EXPECT_EQ(number(region, "violation_count"), 1U);
  const json::object& violation = region.at("violations").as_array().at(0).as_object();
  EXPECT_EQ(violation.at("fault").as_string(), "word_invalid");
  EXPECT_EQ(number(violation, "granule"), span_);
  EXPECT_EQ(number(violation, "index"), 7U);
  EXPECT_THAT(std::string(violation.at("text").as_string()), HasSubstr("word 7"));
}

// --- changes ---

TEST_F(ControlRequests, UnpublishesForAdministrator) {
  const Handle frame = own(5, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(core().publish(session_, "frame", frame, kControlNow));
  const json::object names = ask_region(R"({"request":"names"})");
  const std::string handle(names.at("names").as_array()[0].at("handle").as_string());
  json::object answer =
      ask(R"({"request":"unpublish","region":"default","name":"frame","handle":")" + handle + "\"}",
          true);
  EXPECT_TRUE(answer["ok"].as_bool()) << json::value(answer);
  EXPECT_TRUE(core().names().empty());
  EXPECT_EQ(changes_, 1);
}

TEST_F(ControlRequests, RefusesUnpublishToOthers) {
  const Handle frame = own(5, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(core().publish(session_, "frame", frame, kControlNow));
  EXPECT_THAT(
      error_of(R"({"request":"unpublish","region":"default","name":"frame","handle":"0x1"})"),
      HasSubstr("not_allowed"));
  EXPECT_EQ(core().names().size(), 1U);
  EXPECT_EQ(changes_, 0);
}

TEST_F(ControlRequests, RefusesUnpublishOfAnotherHandle) {
  const Handle frame = own(5, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(core().publish(session_, "frame", frame, kControlNow));
  EXPECT_THAT(
      error_of(R"({"request":"unpublish","region":"default","name":"frame","handle":"0x1"})", true),
      HasSubstr("stale_handle"));
  EXPECT_THAT(
      error_of(R"({"request":"unpublish","region":"default","name":"none","handle":"0x1"})", true),
      HasSubstr("name_unknown"));
  EXPECT_EQ(core().names().size(), 1U);
}

TEST_F(ControlRequests, RepairsForAdministratorsOnly) {
  memory_.view().word(span_, 7).store_release(test::owned_word(4000, 9));
  EXPECT_THAT(error_of(R"({"request":"check","repair":true})"), HasSubstr("not_allowed"));
  EXPECT_EQ(changes_, 0);
  json::object answer = ask(R"({"request":"check","repair":true})", true);
  ASSERT_EQ(answer["regions"].as_array().size(), 2U);
  const json::object& region = answer["regions"].as_array()[0].as_object();
  EXPECT_EQ(number(region, "freed_blocks"), 1U);
  EXPECT_EQ(number(region, "orphaned_spans"), 0U);
  EXPECT_EQ(number(region, "rewritten_spans"), 0U);
  EXPECT_EQ(number(answer["regions"].as_array()[1].as_object(), "freed_blocks"), 0U);
  EXPECT_EQ(changes_, 2);
  EXPECT_EQ(OwnWord::owner(memory_.view().word(span_, 7).load_relaxed()), OwnWord::kFreed);
  EXPECT_FALSE(ask_region(R"({"request":"check","repair":false})").contains("freed_blocks"));
}

// --- hostile lines ---

TEST_F(ControlRequests, NamesWhatIsWrong) {
  EXPECT_THAT(error_of("{}"), HasSubstr("bad_message: \"request\" is missing"));
  EXPECT_THAT(error_of(R"({"request":"stats","region":"none"})"),
              HasSubstr("unknown_region: 'none'; there are: default, other"));
  EXPECT_LT(error_of(R"({"request":"stats","region":")" + std::string(3000, 'x') + "\"}").size(),
            500U);
  const std::string name(3000, 'x');
  EXPECT_LT(line_of(R"({"request":")" + name + "\"}").size(), 500U);
}

TEST_F(ControlRequests, SpansBeyondTheRegionAreNone) {
  const json::object region =
      ask_region(R"({"request":"spans","region":"default","first":18446744073709551615})");
  EXPECT_TRUE(region.at("spans").as_array().empty());
  EXPECT_TRUE(region.at("next").is_null());
}

TEST_F(ControlRequests, AnswersAnyBytes) {
  const std::string sound = R"({"request":"spans","region":"default","first":1,"limit":20})";
  const auto range = test::seeds(2000);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    test::SeedScope scope(__FILE__, __LINE__, range.first + i);
    test::Random random(range.first + i);
    std::string line = random.percent(80) ? sound : std::string(random.below(300U), '"');
    for (std::uint32_t changes = random.below(6U); changes > 0 && !line.empty(); --changes) {
      line[random.below(line.size())] = static_cast<char>(random.next());
    }
    const json::object answer = ask(line, true);
    EXPECT_TRUE(answer.contains("ok"));
  }
}

}  // namespace
}  // namespace allot::daemon
