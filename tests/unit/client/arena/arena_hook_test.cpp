// What an arena tells its hook, and the sink that writes it to a log.

#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <allot/arena_log.hpp>
#include <allot/temp.hpp>

namespace allot {
namespace {

struct Told {
  ArenaEvent::Kind kind;
  std::size_t size_bytes;
  std::size_t used_bytes;
  int line;
};

void remember(void* context, const ArenaEvent& event) noexcept {
  static_cast<std::vector<Told>*>(context)->push_back(
      {event.kind, event.size_bytes, event.used_bytes, event.place.line});
}

TEST(ArenaHook, IsToldEachEventInOrder) {
  for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
    std::vector<Told> told;
    ArenaOptions options;
    options.checks = checks;
    options.hook = {&remember, &told};
    Arena arena = Arena::reserve(1 << 20, options);
    const int line = __LINE__ + 1;
    ASSERT_NE(arena.push(100, 1), nullptr);
    ASSERT_NE(arena.push(50, 1), nullptr);
    ASSERT_EQ(arena.pop(50), Errc::kOk);
    {
      const Temp temp(arena);
      ASSERT_NE(arena.push_zero(10, 1), nullptr);
    }
    ASSERT_EQ(arena.clear(), Errc::kOk);
    ASSERT_EQ(arena.release(), Errc::kOk);
    using Kind = ArenaEvent::Kind;
    const std::vector<Kind> expected = {Kind::kGrow,     Kind::kPush,       Kind::kPush,
                                        Kind::kPop,      Kind::kScopeBegin, Kind::kPush,
                                        Kind::kScopeEnd, Kind::kClear,      Kind::kRelease};
    ASSERT_EQ(told.size(), expected.size());
    for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i].kind, expected[i]) << i;
    EXPECT_EQ(told[1].size_bytes, 100U);
    EXPECT_EQ(told[1].line, line);
    EXPECT_EQ(told[2].used_bytes, 150U);
    EXPECT_EQ(told[3].used_bytes, 100U);
    EXPECT_EQ(told[6].size_bytes, 10U);
    EXPECT_EQ(told[7].size_bytes, 100U);
  }
}

TEST(ArenaHook, GrowthAddsUpToWhatIsCommitted) {
  for (const ArenaKind kind : {ArenaKind::kFixed, ArenaKind::kChained, ArenaKind::kVirtual}) {
    std::vector<Told> told;
    ArenaOptions options;
    options.hook = {&remember, &told};
    Arena arena = kind == ArenaKind::kFixed     ? Arena::fixed(100'000, options)
                  : kind == ArenaKind::kChained ? Arena::chained(options)
                                                : Arena::reserve(1 << 20, options);
    for (int i = 0; i < 9; ++i) ASSERT_NE(arena.push(10'000), nullptr);
    std::size_t grown = 0;
    for (const Told& one : told) grown += one.kind == ArenaEvent::Kind::kGrow ? one.size_bytes : 0;
    EXPECT_EQ(grown, arena.committed()) << describe(kind);
  }
}

TEST(ArenaHook, IsToldOfGrowthAlsoWhereKeptBlocksGoBack) {
  std::vector<Told> told;
  ArenaOptions options;
  options.hook = {&remember, &told};
  options.block_bytes = options.max_block_bytes = 16 << 10;
  options.limit_bytes = 64 << 10;
  Arena arena = Arena::chained(options);
  const ArenaMark start = arena.pos();
  for (int i = 0; i < 3; ++i) ASSERT_NE(arena.push(16'000), nullptr);
  ASSERT_EQ(arena.pop_to(start), Errc::kOk);
  const std::size_t kept = arena.committed();
  EXPECT_EQ(arena.push(60'000), nullptr);
  EXPECT_EQ(arena.committed(), kept) << "a refused push gives nothing back";
  told.clear();
  ASSERT_NE(arena.push(20'000), nullptr);
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].kind, ArenaEvent::Kind::kGrow);
  EXPECT_GE(told[0].size_bytes, 20'000U);
  EXPECT_LT(told[0].size_bytes, 30'000U);
}

TEST(ArenaHook, IsToldOfGrowthForAlignmentAndForChildren) {
  std::vector<Told> told;
  ArenaOptions options;
  options.hook = {&remember, &told};
  options.commit_bytes = 4096;
  Arena arena = Arena::reserve(1 << 20, options);
  const auto grown = [&] {
    std::size_t bytes = 0;
    for (const Told& one : told) bytes += one.kind == ArenaEvent::Kind::kGrow ? one.size_bytes : 0;
    return bytes;
  };
  ASSERT_NE(arena.push(1, 1), nullptr);
  ASSERT_NE(arena.push_aligner(std::size_t{16} << 10), Arena::kFailed);
  EXPECT_EQ(grown(), arena.committed());
  ArenaOptions child_options;
  child_options.source = arena;
  Arena child = Arena::chained(child_options);
  ASSERT_NE(child.push(200'000), nullptr);
  EXPECT_EQ(grown(), arena.committed());
}

TEST(ArenaLog, WritesALineForEachEvent) {
  std::ostringstream out;
  spdlog::logger logger("arenas", std::make_shared<spdlog::sinks::ostream_sink_st>(out));
  logger.set_pattern("%l %v");
  logger.set_level(spdlog::level::trace);
  ArenaOptions options;
  options.name = "logged";
  options.hook = arena_log(logger);
  {
    Arena arena = Arena::chained(options);
    ASSERT_NE(arena.push(123), nullptr);
    logger.set_level(spdlog::level::info);
    ASSERT_NE(arena.push(7), nullptr);
    ASSERT_NE(arena.push(1 << 20), nullptr);
  }
  const std::string text = out.str();
  EXPECT_NE(text.find("trace arena logged: push of 123 bytes"), std::string::npos) << text;
  EXPECT_EQ(text.find("push of 7 bytes"), std::string::npos) << text;
  EXPECT_NE(text.find("info arena logged: grow of 1048576 bytes"), std::string::npos) << text;
  EXPECT_NE(text.find("info arena logged: release"), std::string::npos) << text;
}

}  // namespace
}  // namespace allot
