// The C API, as C files use it.

#include <gtest/gtest.h>

#include <allot/arena.h>

extern "C" {
int arena_from_c();
int arena_from_c_of_kind(int kind);
int arena_from_c_renamed();
int arena_from_c_plain();
}

namespace {

TEST(ArenaFromC, DoesWhatCallersInCExpect) { EXPECT_EQ(arena_from_c(), 0) << "arena_from_c.c"; }

TEST(ArenaFromC, RefusesTheSameInEveryKind) {
  for (const int kind :
       {ALLOT_ARENA_FIXED, ALLOT_ARENA_CHAINED, ALLOT_ARENA_VIRTUAL, ALLOT_ARENA_CHAINED_VIRTUAL}) {
    EXPECT_EQ(arena_from_c_of_kind(kind), 0) << "arena_from_c.c, kind " << kind;
  }
}

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

TEST(ArenaFromC, AScopeThatEndsTwiceEndsNothingMore) {
  for (const int checks : {0, 1}) {
    allot_arena* const arena = allot_arena_alloc(nullptr, checks, __FILE__, __LINE__);
    const allot_arena_temp outer = allot_arena_temp_begin(arena, __FILE__, __LINE__);
    ASSERT_NE(allot_arena_push(arena, 8), nullptr);
    const allot_arena_temp inner = allot_arena_temp_begin(arena, __FILE__, __LINE__);
    allot_arena_temp_end(inner);
    // Where the first one's memory may be.
    const allot_arena_temp other = allot_arena_temp_begin(arena, __FILE__, __LINE__);
    const auto again = [&] { allot_arena_temp_end(inner); };
    if (checks != 0) {
      testing::GTEST_FLAG(death_test_style) = "threadsafe";
      EXPECT_DEATH(again(), "a scope ended twice");
    } else {
      again();
      EXPECT_EQ(allot_arena_used_bytes(arena), 8U);
    }
    ASSERT_NE(allot_arena_push(arena, 8), nullptr);
    allot_arena_temp_end(other);
    EXPECT_EQ(allot_arena_used_bytes(arena), 8U);
    allot_arena_temp_end(outer);
    EXPECT_EQ(allot_arena_release(arena), 0);
  }
}

TEST(ArenaFromC, HasChecksWhereTheyAreAsked) {
  for (const int checks : {0, 1}) {
    allot_arena* const arena = allot_arena_alloc(nullptr, checks, __FILE__, __LINE__);
    const auto* const fresh = static_cast<unsigned char*>(allot_arena_push_no_zero(arena, 8));
    ASSERT_NE(fresh, nullptr);
    EXPECT_EQ(*fresh, checks != 0 ? 0xA5 : 0);
    EXPECT_EQ(allot_arena_release(arena), 0);
  }
}

}  // namespace
