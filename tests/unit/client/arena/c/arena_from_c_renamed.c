/* The same functions by another prefix. */
#define ALLOT_PREFIX My
#include <allot/arena.h>

int arena_from_c_renamed(void);

int arena_from_c_renamed(void) {
  MyArena* arena = MyArenaAlloc(NULL);
  MyArenaMark start = MyArenaGetPos(arena);
  if (MyArenaPush(arena, 8) == NULL) return __LINE__;
  if (MyArenaSetPosBack(arena, start) != 0) return __LINE__;
  return MyArenaRelease(arena) == 0 ? 0 : __LINE__;
}
