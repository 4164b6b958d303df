/* The to-do list's names themselves. */
#define ALLOT_PREFIX
#include <allot/arena.h>

int arena_from_c_plain(void);

int arena_from_c_plain(void) {
  Arena* arena = ArenaAlloc(NULL);
  ArenaTemp temp = ArenaTempBegin(arena);
  if (ArenaPush(arena, 8) == NULL) return __LINE__;
  ArenaTempEnd(temp);
  temp = GetScratch(&arena, 1);
  if (ArenaPushNoZero(temp.arena, 8) == NULL) return __LINE__;
  ReleaseScratch(temp);
  return ArenaRelease(arena) == 0 ? 0 : __LINE__;
}
