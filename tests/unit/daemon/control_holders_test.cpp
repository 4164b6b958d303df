// The request `holders`: who holds a block, by its own word, its span and its name; what a session holds.
// Whatever a member wrote, the answer comes and names what it could not find.

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "tests/support/control_fixture.hpp"
#include "tests/support/seed.hpp"

namespace allot::daemon {
namespace {

using testing::HasSubstr;

std::uint64_t number(const json::value& object, const char* key) {
  return object.at(key).to_number<std::uint64_t>();
}

std::string hex(Handle handle) {
  std::string out;
  for (std::uint64_t bits = handle.bits(); bits != 0; bits /= 16) {
    out.insert(out.begin(), "0123456789abcdef"[bits % 16]);
  }
  return "0x" + out;
}

class ControlHolders : public ControlFixture {
 protected:
  static std::string line_for(const std::string& handle) {
    return R"({"request":"holders","handle":")" + handle + "\"}";
  }
  static std::string line_for(std::uint32_t session) {
    return R"({"request":"holders","region":"default","session":)" + std::to_string(session) + "}";
  }
  static std::string text_for(Handle handle) { return line_for(hex(handle)); }
};

TEST_F(ControlHolders, NamesOwnerSpanAndState) {
  const json::object block = ask_region(text_for(own(3)));
  EXPECT_EQ(block.at("region").as_string(), "default");
  EXPECT_EQ(block.at("state").as_string(), "live");
  EXPECT_FALSE(block.at("exposed").as_bool());
  EXPECT_EQ(number(block, "size_bytes"), 1024U);
  EXPECT_EQ(number(block, "index"), 3U);
  const json::value& owner = block.at("owner");
  EXPECT_EQ(number(owner, "session"), session_);
  EXPECT_EQ(number(owner, "incarnation"), core().session(session_)->incarnation);
  EXPECT_EQ(number(owner, "pid"), 4711U);
  EXPECT_EQ(number(owner, "uid"), 1000U);
  EXPECT_EQ(owner.at("label").as_string(), "maker");
  EXPECT_EQ(number(owner, "connected_unix_ns"), kControlNow);
  const json::value& span = block.at("span");
  EXPECT_EQ(number(span, "first"), span_);
  EXPECT_EQ(span.at("kind").as_string(), "small");
  EXPECT_EQ(number(span, "bin"), kControlBin);
  EXPECT_EQ(number(span, "granted_unix_ns"), kControlNow);
  EXPECT_EQ(number(span.at("holder"), "session"), session_);
  EXPECT_TRUE(block.at("published").is_null());
  EXPECT_TRUE(block.at("pins").as_array().empty());
}

TEST_F(ControlHolders, TellsEachStateByOwnWord) {
  const Handle handle = own(0, OwnWord::kExposed | OwnWord::kOffered);
  EXPECT_EQ(ask_region(text_for(handle)).at("state").as_string(), "offered");
  const std::vector<std::pair<std::uint32_t, const char*>> states = {
      {OwnWord::kFree, "free"},   {OwnWord::kFreed, "freed"},     {OwnWord::kKept, "kept"},
      {OwnWord::kTaken, "taken"}, {OwnWord::kInvalid, "invalid"}, {7, "unknown"}};
  for (const auto& [owner, state] : states) {
    memory_.view().word(span_, 0).store_release(OwnWord::make(owner, 9));
    const json::object block = ask_region(text_for(handle));
    EXPECT_EQ(block.at("state").as_string(), state);
    EXPECT_TRUE(block.at("owner").is_null());
  }
  memory_.view().word(span_, 0).store_release(OwnWord::make(4000, 9));
  const json::object block = ask_region(text_for(handle));
  EXPECT_EQ(number(block.at("owner"), "session"), 4000U);
  EXPECT_EQ(block.at("owner").at("state").as_string(), "absent");
}

TEST_F(ControlHolders, NamesWhoHasFoundWhatIsPublished) {
  const Handle frame = own(5, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(core().publish(session_, "frame", frame, kControlNow + 1));
  constexpr std::uint32_t kFinders = 150;  // more than a slice has
  for (std::uint32_t i = 0; i < kFinders; ++i) {
    ASSERT_TRUE(core().find(open_session("finder"), "frame"));
  }
  const json::object block = ask_region(text_for(frame));
  EXPECT_EQ(block.at("state").as_string(), "kept");
  EXPECT_EQ(block.at("published").at("name").as_string(), "frame");
  EXPECT_EQ(number(block.at("published"), "uid"), 1000U);
  EXPECT_EQ(number(block.at("published"), "published_unix_ns"), kControlNow + 1);
  const json::array& pins = block.at("pins").as_array();
  ASSERT_EQ(pins.size(), kFinders);
  EXPECT_EQ(number(pins[0], "session"), session_ + 1);
  EXPECT_EQ(pins[0].at("label").as_string(), "finder");
  ASSERT_TRUE(core().unpublish(session_, "frame", frame, false, kControlNow));
  const json::object hidden = ask_region(text_for(frame));
  EXPECT_EQ(hidden.at("published").at("state").as_string(), "hidden");
  EXPECT_EQ(hidden.at("pins").as_array().size(), kFinders);
}

TEST_F(ControlHolders, RefusesHandlesThatNameNoBlock) {
  const Handle handle = own(3);
  const auto refused = [&](Handle other) { return error_of(text_for(other)); };
  const Handle stale = Handle::make(test::kRegionTag, handle.offset_bytes(), 10);
  EXPECT_EQ(refused(stale), "stale_handle: " + hex(stale));
  const Handle inside = Handle::make(test::kRegionTag, handle.offset_bytes() + 16, 9);
  EXPECT_EQ(refused(inside), "stale_handle: " + hex(inside));
  const Handle ungranted = Handle::make(test::kRegionTag, 30 * region::kGranuleBytes, 9);
  EXPECT_EQ(refused(ungranted), "stale_handle: " + hex(ungranted));
  const Handle outside = Handle::make(test::kRegionTag, std::uint64_t{1} << 39, 9);
  EXPECT_EQ(refused(outside), "not_in_region: " + hex(outside));
  const Handle foreign = Handle::make(test::kRegionTag + 1, handle.offset_bytes(), 9);
  EXPECT_EQ(refused(foreign), "foreign_region: " + hex(foreign) + "; looked at: default, other");
  EXPECT_THAT(error_of(line_for("frame")), HasSubstr("bad_message: \"handle\" must be"));
  EXPECT_THAT(error_of(line_for("frame")), HasSubstr("'frame'"));
}

TEST_F(ControlHolders, ListsWhatASessionHolds) {
  (void)own(0);
  (void)own(1, OwnWord::kExposed | OwnWord::kOffered);
  const Handle frame = own(2, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(core().publish(session_, "frame", frame, kControlNow));
  ASSERT_TRUE(core().find(session_, "frame"));
  ASSERT_TRUE(core().reserve(session_, {5, 5}));
  const std::uint32_t other = open_session("other");
  const std::uint64_t others_span = grant(other, 2);
  carve(others_span);
  memory_.view().word(others_span, 4).store_release(test::owned_word(session_, 9));

  const json::object of = ask_region(line_for(session_));
  EXPECT_EQ(of.at("holder").at("label").as_string(), "maker");
  EXPECT_EQ(number(of.at("holder"), "connected_unix_ns"), kControlNow);
  const json::array& spans = of.at("spans").as_array();
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_EQ(spans[0].at("kind").as_string(), "small");
  EXPECT_EQ(number(spans[0], "spans"), 1U);
  EXPECT_EQ(number(spans[0], "granted_bytes"), 2 * region::kGranuleBytes);
  EXPECT_EQ(number(spans[0], "live_blocks"), 3U);
  EXPECT_EQ(number(spans[0], "oldest_unix_ns"), kControlNow);
  EXPECT_EQ(number(of, "live_blocks"), 3U);
  EXPECT_EQ(number(of, "live_bytes"), 3072U);
  EXPECT_EQ(number(of, "offered_blocks"), 1U);
  EXPECT_EQ(number(of, "blocks_elsewhere"), 1U);
  EXPECT_EQ(number(of, "bytes_elsewhere"), 1024U);
  EXPECT_EQ(number(of.at("reservations").as_array().at(0), "size_bytes"),
            5 * region::kGranuleBytes);
  EXPECT_EQ(of.at("pins").as_array().at(0).at("name").as_string(), "frame");
  EXPECT_EQ(of.at("names").as_array().at(0).at("handle").as_string(), hex(frame));

  const json::object of_other = ask_region(line_for(other));
  EXPECT_EQ(number(of_other, "live_blocks"), 0U);
  EXPECT_TRUE(of_other.at("pins").as_array().empty());
  EXPECT_EQ(of_other.at("names").as_array().size(), 1U);  // of the same user
}

TEST_F(ControlHolders, ListsMoreThanOneSliceHas) {
  for (std::uint32_t i = 0; i < 100; ++i) {
    const Handle handle = own(i, OwnWord::kExposed | OwnWord::kOffered);
    ASSERT_TRUE(core().publish(session_, "n" + std::to_string(i), handle, kControlNow));
    ASSERT_TRUE(core().find(session_, "n" + std::to_string(i)));
  }
  const json::object of = ask_region(line_for(session_));
  EXPECT_EQ(of.at("pins").as_array().size(), 100U);
  EXPECT_EQ(of.at("names").as_array().size(), 100U);
}

TEST_F(ControlHolders, KnowsSessionsByNumberAndIncarnation) {
  const std::uint64_t incarnation = core().session(session_)->incarnation;
  const auto line = [&](std::uint64_t number) {
    return R"({"request":"holders","session":)" + std::to_string(session_) + R"(,"incarnation":)" +
           std::to_string(number) + "}";
  };
  EXPECT_EQ(ask(line(incarnation))["regions"].as_array().size(), 1U);
  EXPECT_EQ(error_of(line(incarnation + 1)), "unknown_session: " + std::to_string(session_) + "." +
                                                 std::to_string(incarnation + 1) +
                                                 "; looked at: default, other");
  EXPECT_EQ(error_of(line_for(session_ + 1)),
            "unknown_session: " + std::to_string(session_ + 1) + "; looked at: default");
}

TEST_F(ControlHolders, GoesOnWhereTheSessionEndsMeanwhile) {
  const auto request = ControlRequest::parse(line_for(session_), {1, 1000, 100}, false, context());
  EXPECT_FALSE(request->step());
  core().begin_recovery(session_);
  while (core().recovery_pending()) (void)core().recover_step(1 << 20, kControlNow);
  std::optional<std::string> answer;
  for (int steps = 0; steps < 100 && !answer; ++steps) answer = request->step();
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr("\"label\":\"maker\""));
  EXPECT_THAT(*answer, HasSubstr("\"spans\":[]"));
}

TEST_F(ControlHolders, AnswersWhateverMembersWrote) {
  const auto range = test::seeds(2000);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    test::SeedScope scope(__FILE__, __LINE__, range.first + i);
    test::Random random(range.first + i);
    const auto word = static_cast<std::uint32_t>(random.next());
    const std::uint32_t index = random.below(128U);
    memory_.view().word(span_, index).store_relaxed(word);
    if (random.percent(30)) memory_.view().span_ledger(span_).carve.store_relaxed(random.next());
    if (random.percent(30)) carve(span_);
    const Handle handle = Handle::make(
        test::kRegionTag, random.next() % (64 * region::kGranuleBytes), OwnWord::generation(word));
    EXPECT_TRUE(ask(text_for(handle)).contains("ok"));
    EXPECT_TRUE(ask(line_for(session_))["ok"].as_bool());
  }
}

}  // namespace
}  // namespace allot::daemon
