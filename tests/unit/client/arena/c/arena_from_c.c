/* The C API used by a C compiler, under three prefixes. Returns the line of the first failure, or 0. */
#include <allot/arena.h>
#include <string.h>

int arena_from_c_renamed(void);
int arena_from_c_plain(void);
int arena_from_c(void);
int arena_from_c_of_kind(int kind);

#define CHECK(condition) \
  if (!(condition)) return __LINE__

int arena_from_c(void) {
  static char buffer[4096];
  AllotArenaParams params;
  AllotArena* arena = AllotArenaAlloc(NULL);
  AllotArena* fixed;
  AllotArenaMark start;
  AllotArenaTemp temp;
  AllotArenaTemp scratch;
  AllotArenaTemp other;
  AllotArena* conflicts[1];
  char* first;
  char* second;
  size_t i;

  CHECK(arena != NULL);
  start = AllotArenaPos(arena);
  first = (char*)AllotArenaPush(arena, 100);
  CHECK(first != NULL);
  for (i = 0; i < 100; ++i) CHECK(first[i] == 0);
  memset(first, 1, 100);
  CHECK(AllotArenaPop(arena, 100) == 0);
  second = (char*)AllotArenaPush(arena, 100);
  CHECK(second == first);
  for (i = 0; i < 100; ++i) CHECK(second[i] == 0);
  CHECK(AllotArenaSetAutoAlign(arena, 64) == 0);
  CHECK(AllotArenaSetAutoAlign(arena, 63) != 0);
  CHECK(((uintptr_t)AllotArenaPushNoZero(arena, 1) & 63) == 0);
  CHECK(((uintptr_t)AllotArenaPush(arena, 1) & 63) == 0);
  CHECK(AllotArenaPushAligner(arena, 4096) < 4096);
  CHECK(((uintptr_t)AllotArenaPushNoZero(arena, 1) & 4095) == 0);
  CHECK(AllotArenaPushAligner(arena, 3) == SIZE_MAX);

  CHECK(((uintptr_t)AllotArenaPushAligned(arena, 5, 512) & 511) == 0);
  CHECK(AllotArenaPushAligned(arena, 5, 0) == NULL);
  CHECK(AllotArenaCommitted(arena) > 0 && AllotArenaReserved(arena) >= AllotArenaCommitted(arena));
  CHECK(AllotArenaPushNoZero(arena, 1000000) != NULL && AllotArenaPop(arena, 1000000) == 0);
  CHECK(AllotArenaShrink(arena) > 0);

  temp = AllotArenaTempBegin(arena);
  CHECK(temp.arena == arena);
  i = allot_arena_used_bytes(arena);
  CHECK(AllotArenaPush(arena, 100000) != NULL);
  AllotArenaTempEnd(temp);
  CHECK(allot_arena_used_bytes(arena) == i);

  scratch = AllotGetScratch(NULL, 0);
  CHECK(scratch.arena != NULL);
  conflicts[0] = scratch.arena;
  other = AllotGetScratch(conflicts, 1);
  CHECK(other.arena != NULL);
  CHECK(AllotArenaPush(other.arena, 10) != NULL);
  CHECK(AllotArenaPush(scratch.arena, 10) != NULL);
  CHECK(AllotArenaRelease(other.arena) != 0);
  AllotReleaseScratch(other);
  AllotReleaseScratch(other);
  AllotReleaseScratch(scratch);

  CHECK(AllotArenaPush(arena, SIZE_MAX) == NULL);
  CHECK(allot_arena_last_error() != 0);
  CHECK(strlen(allot_arena_describe(allot_arena_last_error())) > 0);
  CHECK(AllotArenaPopTo(arena, start) == 0);
  CHECK(AllotArenaClear(arena) == 0);
  CHECK(AllotArenaPopTo(arena, start) != 0);

  memset(&params, 0, sizeof params);
  params.kind_plus_one = ALLOT_ARENA_FIXED + 1;
  params.buffer = buffer;
  params.size_bytes = sizeof buffer;
  fixed = AllotArenaAlloc(&params);
  CHECK(fixed != NULL);
  CHECK(AllotArenaPushNoZero(fixed, 5000) == NULL);
  CHECK((char*)AllotArenaPushNoZero(fixed, 16) >= buffer);
  CHECK(AllotArenaPopTo(fixed, AllotArenaGetPos(arena)) != 0);
  CHECK(AllotArenaRelease(fixed) == 0);
  params.buffer = NULL;
  params.size_bytes = 500;
  params.parent = arena;
  fixed = AllotArenaAlloc(&params);
  CHECK(fixed != NULL);
  CHECK(AllotArenaClear(arena) != 0);
  CHECK(AllotArenaRelease(fixed) == 0);
  CHECK(AllotArenaClear(arena) == 0);
  params.kind_plus_one = 77;
  CHECK(AllotArenaAlloc(&params) == NULL);

  CHECK(AllotArenaPush(NULL, 1) == NULL);
  CHECK(AllotArenaPop(NULL, 1) != 0);
  CHECK(AllotArenaRelease(NULL) == 0);
  CHECK(AllotGetScratch(NULL, 3).arena == NULL);
  CHECK(AllotArenaRelease(arena) == 0);
  return 0;
}

int arena_from_c_of_kind(int kind) {
  AllotArenaParams params;
  AllotArena* arena;
  AllotArenaMark start;
  AllotArenaTemp temp;
  char* block;
  size_t used;
  size_t i;

  memset(&params, 0, sizeof params);
  params.kind_plus_one = kind + 1;
  params.size_bytes = 65536;
  params.commit_bytes = 4096;
  arena = AllotArenaAlloc(&params);
  CHECK(arena != NULL);
  start = AllotArenaPos(arena);
  block = (char*)AllotArenaPush(arena, 1000);
  CHECK(block != NULL);
  for (i = 0; i < 1000; ++i) CHECK(block[i] == 0);
  memset(block, 7, 1000);
  used = allot_arena_used_bytes(arena);
  CHECK(used == 1000);

  /* Sizes that no sum may wrap round: each refused, and nothing has changed. */
  for (i = 0; i < 40; ++i) {
    CHECK(AllotArenaPush(arena, SIZE_MAX - i) == NULL);
    CHECK(AllotArenaPushNoZero(arena, SIZE_MAX - i) == NULL);
    CHECK(AllotArenaPushAligned(arena, SIZE_MAX - i, 1) == NULL);
    CHECK(AllotArenaPushAligned(arena, SIZE_MAX - i, 4096) == NULL);
  }
  CHECK(AllotArenaPushAligned(arena, SIZE_MAX, SIZE_MAX) == NULL);
  CHECK(AllotArenaPushAligned(arena, 1, SIZE_MAX / 2 + 1) == NULL);
  CHECK(AllotArenaPushNoZero(arena, SIZE_MAX / 2 + 1) == NULL);
  CHECK(allot_arena_last_error() != 0);
  CHECK(AllotArenaPop(arena, used + 1) != 0);
  CHECK(AllotArenaPop(arena, SIZE_MAX) != 0);
  CHECK(allot_arena_used_bytes(arena) == used);
  for (i = 0; i < 1000; ++i) CHECK(block[i] == 7);

  temp = AllotArenaTempBegin(arena);
  CHECK(temp.arena == arena);
  CHECK(AllotArenaPushAligned(arena, 9, 256) != NULL);
  CHECK(AllotArenaPush(arena, 20000) != NULL);
  CHECK(AllotArenaPop(arena, used + 20000) != 0); /* below the open scope */
  AllotArenaTempEnd(temp);
  CHECK(allot_arena_used_bytes(arena) == used);
  CHECK(AllotArenaPop(arena, used) == 0);
  CHECK(AllotArenaPop(arena, 1) != 0);
  CHECK(AllotArenaPopTo(arena, start) == 0);
  CHECK((char*)AllotArenaPush(arena, 1000) == block);
  for (i = 0; i < 1000; ++i) CHECK(block[i] == 0);
  CHECK(AllotArenaPopTo(arena, start) == 0);
  CHECK(AllotArenaClear(arena) == 0);
  CHECK(AllotArenaPopTo(arena, start) != 0);
  CHECK(AllotArenaRelease(arena) == 0);
  return 0;
}
