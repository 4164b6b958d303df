/* Arenas for C, and for C++ that wants the same names: ArenaPush, ArenaPopTo, GetScratch, ...
 *
 * The names carry a prefix that the including file chooses: AllotArenaPush by default; with
 *     #define ALLOT_PREFIX My
 * before the include MyArenaPush, and with an empty ALLOT_PREFIX plain ArenaPush. They are inline and
 * call allot_arena_*, which liballot exports. What each does, and what it refuses, is said in
 * <allot/arena.hpp> and <allot/scratch.hpp>. No exception leaves; what fails returns NULL or a code
 * (the numbers of allot::Errc; 0 is success); allot_arena_last_error() says why.
 */
#ifndef ALLOT_ARENA_H
#define ALLOT_ARENA_H

/* C's own names and headers. NOLINTBEGIN(modernize-*,readability-identifier-naming) */
#include <stddef.h>
#include <stdint.h>

#ifndef ALLOT_PREFIX
#define ALLOT_PREFIX Allot
#endif
#define ALLOT_JOIN_(prefix, name) prefix##name
#define ALLOT_JOIN(prefix, name) ALLOT_JOIN_(prefix, name)
#define ALLOT_NAME(name) ALLOT_JOIN(ALLOT_PREFIX, name)

#ifdef __cplusplus
extern "C" {
#define ALLOT_C_NOEXCEPT noexcept
#else
#define ALLOT_C_NOEXCEPT
#endif
#define ALLOT_C_API __attribute__((visibility("default")))

typedef struct allot_arena allot_arena;

/* A position; opaque. */
typedef struct allot_arena_mark {
  uint64_t offset;
  uint64_t stamp;
} allot_arena_mark;

enum allot_arena_kind {
  ALLOT_ARENA_FIXED = 0,
  ALLOT_ARENA_CHAINED = 1,
  ALLOT_ARENA_VIRTUAL = 2,
  ALLOT_ARENA_CHAINED_VIRTUAL = 3
};

/* Zeroes mean the defaults: a virtual arena of 64 GiB of address space, returning NULL when full. */
typedef struct allot_arena_params {
  int kind_plus_one; /* enum allot_arena_kind, plus 1; 0: virtual */
  void* buffer;      /* fixed: the caller's memory, or NULL for pages */
  size_t size_bytes; /* fixed: the buffer; virtual kinds: a reservation; chained: the first block */
  size_t commit_bytes; /* virtual kinds: the first commit */
  size_t limit_bytes;  /* at most so much memory */
  size_t page_bytes;   /* unit of commits, a power of two; 0: the machine's page */
  int locked;          /* not 0: several threads may use it */
  int abort_when_full; /* not 0: a push that fails ends the process */
  const char* name;
  struct allot_arena* parent; /* where its memory comes from; NULL: pages */
} allot_arena_params;

/* Checks of misuse, fill patterns, poison: on where the including file is compiled without NDEBUG. */
#ifdef NDEBUG
#define ALLOT_ARENA_CHECKS 0
#else
#define ALLOT_ARENA_CHECKS 1
#endif

/* A scope, or a scratch: what ...TempBegin and GetScratch return and ...TempEnd and ReleaseScratch
 * end. `arena` is NULL if there was none to have. */
typedef struct allot_arena_temp {
  allot_arena* arena;
  void* state;
} allot_arena_temp;

ALLOT_C_API allot_arena* allot_arena_alloc(const allot_arena_params* params, int checks,
                                           const char* file, int line) ALLOT_C_NOEXCEPT;
ALLOT_C_API int allot_arena_release(allot_arena* arena) ALLOT_C_NOEXCEPT;
ALLOT_C_API int allot_arena_set_auto_align(allot_arena* arena, size_t alignment) ALLOT_C_NOEXCEPT;
ALLOT_C_API allot_arena_mark allot_arena_pos(const allot_arena* arena) ALLOT_C_NOEXCEPT;
ALLOT_C_API size_t allot_arena_used_bytes(const allot_arena* arena) ALLOT_C_NOEXCEPT;
ALLOT_C_API void* allot_arena_push(allot_arena* arena, size_t size) ALLOT_C_NOEXCEPT;
ALLOT_C_API void* allot_arena_push_no_zero(allot_arena* arena, size_t size) ALLOT_C_NOEXCEPT;
/* With an alignment of its own; not zeroed. */
ALLOT_C_API void* allot_arena_push_aligned(allot_arena* arena, size_t size,
                                           size_t alignment) ALLOT_C_NOEXCEPT;
ALLOT_C_API size_t allot_arena_push_aligner(allot_arena* arena, size_t alignment) ALLOT_C_NOEXCEPT;
ALLOT_C_API int allot_arena_pop(allot_arena* arena, size_t size) ALLOT_C_NOEXCEPT;
ALLOT_C_API int allot_arena_pop_to(allot_arena* arena, allot_arena_mark mark) ALLOT_C_NOEXCEPT;
ALLOT_C_API int allot_arena_clear(allot_arena* arena) ALLOT_C_NOEXCEPT;
/* Bytes given back. */
ALLOT_C_API size_t allot_arena_shrink(allot_arena* arena) ALLOT_C_NOEXCEPT;
ALLOT_C_API size_t allot_arena_committed(const allot_arena* arena) ALLOT_C_NOEXCEPT;
ALLOT_C_API size_t allot_arena_reserved(const allot_arena* arena) ALLOT_C_NOEXCEPT;
ALLOT_C_API allot_arena_temp allot_arena_temp_begin(allot_arena* arena, const char* file,
                                                    int line) ALLOT_C_NOEXCEPT;
/* One that has ended already ends nothing, and is reported where the arena has checks. The arena must
 * still be there. */
ALLOT_C_API void allot_arena_temp_end(allot_arena_temp temp) ALLOT_C_NOEXCEPT;
ALLOT_C_API allot_arena_temp allot_arena_get_scratch(allot_arena* const* conflicts, size_t count,
                                                     int checks, const char* file,
                                                     int line) ALLOT_C_NOEXCEPT;
/* One that this thread has released already, or never had, is ignored. */
ALLOT_C_API void allot_arena_release_scratch(allot_arena_temp scratch) ALLOT_C_NOEXCEPT;
/* Why this thread's latest arena call failed: a number of allot::Errc. */
ALLOT_C_API int allot_arena_last_error(void) ALLOT_C_NOEXCEPT;
/* One line for such a number; static storage. */
ALLOT_C_API const char* allot_arena_describe(int error) ALLOT_C_NOEXCEPT;

typedef allot_arena ALLOT_NAME(Arena);
typedef allot_arena_mark ALLOT_NAME(ArenaMark);
typedef allot_arena_params ALLOT_NAME(ArenaParams);
typedef allot_arena_temp ALLOT_NAME(ArenaTemp);

/* params may be NULL. Reports name the line of this header: call allot_arena_alloc(params,
 * ALLOT_ARENA_CHECKS, __FILE__, __LINE__) for one's own; the same holds for ...TempBegin and GetScratch. */
static inline allot_arena* ALLOT_NAME(ArenaAlloc)(const allot_arena_params* params) {
  return allot_arena_alloc(params, ALLOT_ARENA_CHECKS, __FILE__, __LINE__);
}
static inline int ALLOT_NAME(ArenaRelease)(allot_arena* arena) {
  return allot_arena_release(arena);
}
/* Alignment of ArenaPush and ArenaPushNoZero; 16 at first. */
static inline int ALLOT_NAME(ArenaSetAutoAlign)(allot_arena* arena, size_t alignment) {
  return allot_arena_set_auto_align(arena, alignment);
}
static inline allot_arena_mark ALLOT_NAME(ArenaPos)(const allot_arena* arena) {
  return allot_arena_pos(arena);
}
/* The same by its other name. */
static inline allot_arena_mark ALLOT_NAME(ArenaGetPos)(const allot_arena* arena) {
  return allot_arena_pos(arena);
}
static inline void* ALLOT_NAME(ArenaPushAligned)(allot_arena* arena, size_t size,
                                                 size_t alignment) {
  return allot_arena_push_aligned(arena, size, alignment);
}
/* All zero. */
static inline void* ALLOT_NAME(ArenaPush)(allot_arena* arena, size_t size) {
  return allot_arena_push(arena, size);
}
static inline void* ALLOT_NAME(ArenaPushNoZero)(allot_arena* arena, size_t size) {
  return allot_arena_push_no_zero(arena, size);
}
/* The padding in bytes; SIZE_MAX if it failed. */
static inline size_t ALLOT_NAME(ArenaPushAligner)(allot_arena* arena, size_t alignment) {
  return allot_arena_push_aligner(arena, alignment);
}
static inline int ALLOT_NAME(ArenaPop)(allot_arena* arena, size_t size) {
  return allot_arena_pop(arena, size);
}
static inline int ALLOT_NAME(ArenaPopTo)(allot_arena* arena, allot_arena_mark mark) {
  return allot_arena_pop_to(arena, mark);
}
/* The same by its other name. */
static inline int ALLOT_NAME(ArenaSetPosBack)(allot_arena* arena, allot_arena_mark mark) {
  return allot_arena_pop_to(arena, mark);
}
static inline int ALLOT_NAME(ArenaClear)(allot_arena* arena) { return allot_arena_clear(arena); }
static inline size_t ALLOT_NAME(ArenaShrink)(allot_arena* arena) {
  return allot_arena_shrink(arena);
}
static inline size_t ALLOT_NAME(ArenaCommitted)(const allot_arena* arena) {
  return allot_arena_committed(arena);
}
static inline size_t ALLOT_NAME(ArenaReserved)(const allot_arena* arena) {
  return allot_arena_reserved(arena);
}
static inline allot_arena_temp ALLOT_NAME(ArenaTempBegin)(allot_arena* arena) {
  return allot_arena_temp_begin(arena, __FILE__, __LINE__);
}
static inline void ALLOT_NAME(ArenaTempEnd)(allot_arena_temp temp) { allot_arena_temp_end(temp); }
/* A scratch arena of this thread that is none of the `count` conflicts. Push to its `arena`. */
static inline allot_arena_temp ALLOT_NAME(GetScratch)(allot_arena* const* conflicts, size_t count) {
  return allot_arena_get_scratch(conflicts, count, ALLOT_ARENA_CHECKS, __FILE__, __LINE__);
}
static inline void ALLOT_NAME(ReleaseScratch)(allot_arena_temp scratch) {
  allot_arena_release_scratch(scratch);
}

#ifdef __cplusplus
} /* extern "C" */
#endif
/* NOLINTEND(modernize-*,readability-identifier-naming) */

#endif
