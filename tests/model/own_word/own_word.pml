/* The own word as the models see it, and who has a block in truth.
 *
 * Owner, exposed, offered and a generation of three bits, which never wraps: before it would, nothing
 * is offered any more. Each access to shared memory is a step of its own; what else stands in its
 * `atomic` is private to the process, or a note that no process reads.
 *
 * One step comes after the other here: who sees whose stores when (docs/memory-ordering.md) is not
 * what these models look at. */

/* Owners, as in shared/include/allot/detail/own_word.hpp. Sessions are A, B and C. */
#define INVALID 0
#define FREE    1
#define FREED   2
#define KEPT    3
#define TAKEN   4
#define A       5
#define B       6
#define C       7
#define index(session)  ((session) - A)
#define letter(session) (65 + index(session))

#define EXPOSED 16
#define OFFERED 8

#define make(owner, generation) (((owner) << 5) | ((generation) & 7))
#define owner(word)      ((word) >> 5)
#define generation(word) ((word) & 7)
#define is_session(word) (owner(word) >= A)
#define is_live(word)    (is_session(word) || owner(word) == KEPT)

/* OwnWord::after_free() */
#ifdef FREE_KEEPS_THE_GENERATION
#define after_free(word, to) make(to, generation(word))
#else
#define after_free(word, to) make(to, generation(word) + (((word) & EXPOSED) -> 1 : 0))
#endif

byte own[BLOCKS];

/* The truth beside the words: a store that begins, moves or ends a block's life says so here, and must
 * be entitled to. */
#define NOBODY 0
byte holder[BLOCKS];
byte made[BLOCKS];   /* handles of generations below this exist */
byte stale[BLOCKS];  /* those of generations below this are of lives that have ended */

inline begins(block, who) {
  assert(holder[block] == NOBODY);  /* handed out to one */
  holder[block] = who
}
inline moves(block, from, to) {
  assert(holder[block] == from);  /* taken from its owner */
  holder[block] = to
}
inline ends(block, who) {
  assert(holder[block] == who);  /* freed by its owner */
  holder[block] = NOBODY;
  stale[block] = made[block]
}
inline gets_handle(block, number) {
  assert(number >= stale[block]);  /* I5: a generation names one life */
  made[block] = (number >= made[block] -> number + 1 : made[block])
}
