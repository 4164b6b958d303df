// allotctl arenas: those that processes share and those of one process, while they live.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <allot/arena.hpp>
#include <allot/session.hpp>
#include <allot/shared_arena.hpp>
#include <allot/shared_vlarray.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "tests/support/control_client.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

namespace json = boost::json;
using test::Agent;
using test::ExitNotice;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = kKiB * 1024;

ArenaOptions named(const char* name, const Session& session) {
  ArenaOptions options;
  options.name = name;
  options.source = session;
  return options;
}

ALLOT_TEST_ROLE(holds_an_arena) {
  const Session session = test::connect_as_told(test);
  Arena arena = Arena::reserve(kMiB, named("of-the-killed", session));
  test.send(arena.push(100 * kKiB) != nullptr);
  (void)test.receive<int>();  // until it is killed
}

class ArenaList : public test::ServedRegion {
 protected:
  [[nodiscard]] std::string list() {
    return test::run_program(
               {ALLOT_ALLOTCTL_PATH, "--runtime-dir", daemon().runtime_dir().native(), "arenas"})
        .out;
  }
  // The member of the arena `name`.
  [[nodiscard]] json::object of(const std::string& name) {
    const auto answer = test::run_program({ALLOT_ALLOTCTL_PATH, "--runtime-dir",
                                           daemon().runtime_dir().native(), "arenas", "--json"});
    const json::value parsed = json::parse(answer.out);
    for (const json::value& one : parsed.at("regions").at(0).at("arenas").as_array()) {
      if (one.at("name") == json::string_view(name)) return one.as_object();
    }
    return {};
  }
};

std::uint64_t number(const json::object& object, const char* key) {
  return object.at(key).to_number<std::uint64_t>();
}

TEST_F(ArenaList, HasEachKindOfAProcess) {
  Arena fixed = Arena::fixed(1000, named("buffer", session()));
  Arena chained = Arena::chained(named("chain", session()));
  Arena virtual_one = Arena::reserve(4 * kMiB, named("line", session()));
  Arena chained_virtual = Arena::reserve_chained(2 * kMiB, named("lines", session()));
  ASSERT_NE(chained.push(100 * kKiB), nullptr);
  ASSERT_NE(virtual_one.push(kMiB + 5), nullptr);
  EXPECT_THAT(list(), Not(HasSubstr("lines"))) << "it has no memory";
  ASSERT_NE(chained_virtual.push(16), nullptr);
  const std::string text = list();
  const std::string id = std::to_string(session().id().session);
  EXPECT_THAT(text, ContainsRegex("buffer +fixed +0 B .* +1 +" + id +
                                  " +[0-9]+ +- .*arena_list_process_test.cpp:[0-9]+"));
  EXPECT_THAT(text, ContainsRegex("chain +chained +100.0 KiB"));
  EXPECT_THAT(text, ContainsRegex("line +virtual +1.0 MiB +[0-9.]+ MiB +4.0 MiB"));
  EXPECT_THAT(text, ContainsRegex("lines +chained virtual +16 B +64.0 KiB +2.0 MiB"));
  for (const Arena* const arena : {&fixed, &chained, &virtual_one, &chained_virtual}) {
    const json::object one = of(std::string(arena->name()));
    EXPECT_EQ(number(one, "used_bytes"), arena->used_bytes());
    EXPECT_EQ(number(one, "committed_bytes"), arena->committed());
    EXPECT_EQ(number(one, "reserved_bytes"), arena->reserved());
    EXPECT_EQ(number(one, "session"), session().id().session);
  }
  EXPECT_TRUE(check().is_clean) << check().text;
}

TEST_F(ArenaList, FollowsGrowthClearAndRelease) {
  Arena arena = Arena::reserve(4 * kMiB, named("line", session()));
  const ArenaMark start = arena.pos();
  ASSERT_NE(arena.push(3 * kMiB), nullptr);
  EXPECT_EQ(number(of("line"), "used_bytes"), 3 * kMiB);
  ASSERT_EQ(arena.pop_to(start), Errc::kOk);
  arena.shrink();
  EXPECT_EQ(number(of("line"), "used_bytes"), 0U);
  EXPECT_EQ(number(of("line"), "committed_bytes"), arena.committed());
  ASSERT_NE(arena.push(kMiB), nullptr);
  ASSERT_EQ(arena.clear(), Errc::kOk);
  EXPECT_EQ(number(of("line"), "used_bytes"), 0U);
  ASSERT_EQ(arena.release(), Errc::kOk);
  EXPECT_TRUE(of("line").empty());
  expect_nothing_left();
}

TEST_F(ArenaList, HasMoreThanOneBlockOfNotesHolds) {
  std::vector<Arena> arenas;
  for (int i = 0; i < 130; ++i) {
    arenas.push_back(Arena::fixed(100, named(("a" + std::to_string(i)).c_str(), session())));
    ASSERT_TRUE(arenas.back());
  }
  for (const char* const name : {"a0", "a62", "a63", "a129"})
    EXPECT_FALSE(of(name).empty()) << name;
  arenas.erase(arenas.begin(), arenas.begin() + 63);
  EXPECT_TRUE(of("a62").empty());
  EXPECT_FALSE(of("a63").empty());
  arenas.push_back(Arena::fixed(100, named("again", session())));
  EXPECT_FALSE(of("again").empty());
  EXPECT_TRUE(check().is_clean) << check().text;
  arenas.clear();
  expect_nothing_left();
}

TEST_F(ArenaList, ForgetsTheArenasOfTheKilled) {
  Agent agent("holds_an_arena");
  const ExitNotice exit(session(), test::introduce(agent.link(), daemon()));
  ASSERT_TRUE(agent->receive<bool>());
  EXPECT_THAT(list(), ContainsRegex("of-the-killed +virtual +100.0 KiB"));
  agent.process().kill();
  ASSERT_TRUE(exit.wait());
  EXPECT_THAT(list(), Not(HasSubstr("of-the-killed")));
  expect_nothing_left();
}

TEST_F(ArenaList, HasWhatProcessesShare) {
  auto arena = SharedArena::create(session(), "frames", {kMiB}).value();
  ASSERT_NE(arena.push(1000), nullptr);
  auto array = SharedVlArray<int>::create(session(), "numbers", 1000).value();
  EXPECT_THAT(
      list(),
      ContainsRegex("frames +shared arena +1008 B +1.0 MiB +1.0 MiB +63.0 KiB +1 +1 +- +[0-9]+ "
                    ".*arena_list_process_test.cpp:[0-9]+"));
  EXPECT_THAT(list(), ContainsRegex("numbers +shared array"));
  arena.unpublish("frames").value();
  EXPECT_THAT(list(), HasSubstr("(unpublished)"));
  array.unpublish("numbers").value();
}

}  // namespace
}  // namespace allot
