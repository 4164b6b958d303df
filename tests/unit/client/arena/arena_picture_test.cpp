// Pictures of arenas; those in docs/arenas.md are drawn here.

#include <array>
#include <fstream>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <allot/arena_picture.hpp>

#include "shared/platform/page_size.hpp"

namespace allot {
namespace {

constexpr std::size_t kKiB = 1024;

void push(Arena& arena, std::size_t count, std::size_t size) {
  for (std::size_t i = 0; i < count; ++i) ASSERT_NE(arena.push(size), nullptr);
}

TEST(ArenaPicture, ThoseOnThePageAreOfRealArenas) {
  if (platform::page_size_bytes() != 4 * kKiB) GTEST_SKIP() << "drawn where pages have 4 KiB";
  std::array<std::byte, 4096> buffer;
  Arena fixed = Arena::fixed(buffer, {.name = "fixed"});
  push(fixed, 20, 100);

  ArenaOptions chained_options;
  chained_options.name = "chained";
  chained_options.block_bytes = 4 * kKiB;
  Arena chained = Arena::chained(chained_options);
  push(chained, 10, kKiB);
  ASSERT_NE(chained.push(20 * kKiB), nullptr);
  push(chained, 3, kKiB);

  Arena reserved = Arena::reserve(kKiB * kKiB, {.name = "virtual"});
  push(reserved, 100, kKiB);

  Arena both = Arena::reserve_chained(256 * kKiB, {.name = "chained virtual"});
  push(both, 300, kKiB);

  std::ifstream file(std::string(ALLOT_SOURCE_DIR) + "/docs/arenas.md");
  std::stringstream page;
  page << file.rdbuf();
  std::string pictures;
  for (const Arena* const arena : {&fixed, &chained, &reserved, &both}) {
    pictures += (pictures.empty() ? "" : "\n") + draw(*arena);
  }
  EXPECT_THAT(page.str(), testing::HasSubstr("```\n" + pictures + "```\n"))
      << "docs/arenas.md should have:\n"
      << pictures;
}

TEST(ArenaPicture, WidthsAreRoundedUpAndNothingIsNoArena) {
  std::array<std::byte, 1000> buffer;
  Arena arena = Arena::fixed(buffer, {.name = "a"});
  EXPECT_EQ(draw(arena, 10),
            "a: fixed, 0 B used, 1000 B committed, 1000 B reserved\n[..........]\n");
  ASSERT_NE(arena.push(1), nullptr);
  EXPECT_EQ(draw(arena, 10),
            "a: fixed, 1 B used, 1000 B committed, 1000 B reserved\n[#.........]\n");
  EXPECT_EQ(draw(arena, 0), "a: fixed, 1 B used, 1000 B committed, 1000 B reserved\n[#]\n");
  ASSERT_EQ(arena.release(), Errc::kOk);
  EXPECT_EQ(draw(arena), "no arena\n");
  EXPECT_EQ(draw(Arena()), "no arena\n");
}

}  // namespace
}  // namespace allot
