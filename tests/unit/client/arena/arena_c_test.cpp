// The C API, as C files use it.

#include <gtest/gtest.h>

#include <allot/arena.h>

extern "C" {
int arena_from_c();
int arena_from_c_renamed();
int arena_from_c_plain();
}

namespace {

TEST(ArenaFromC, DoesWhatCallersInCExpect) { EXPECT_EQ(arena_from_c(), 0) << "arena_from_c.c"; }

TEST(ArenaFromC, TakesAnyPrefix) {
  EXPECT_EQ(arena_from_c_renamed(), 0) << "arena_from_c_renamed.c";
  EXPECT_EQ(arena_from_c_plain(), 0) << "arena_from_c_plain.c";
}

TEST(ArenaFromC, CompilesAsCppToo) {
  AllotArena* const arena = AllotArenaAlloc(nullptr);
  ASSERT_NE(arena, nullptr);
  EXPECT_NE(AllotArenaPush(arena, 16), nullptr);
  EXPECT_EQ(AllotArenaRelease(arena), 0);
}

}  // namespace
