/* What the processes of a model share: one span, and messages between sessions and daemon.
 *
 * A model is told how many BLOCKS and SESSIONS there are, how many GENERATIONS of a block get handles,
 * how many KILLS of sessions and RESTARTS of the daemon may happen, and which session is BUGGY. */

#define ALL ((1 << BLOCKS) - 1)
#define bit(block) (1 << (block))

/* Ledger and directory; of the latter the session table lasts when the daemon is killed. */
bool carved;
#define ORPHAN 1
byte span;  /* NOBODY, ORPHAN, or the session that it is granted to */
mtype:life = { ABSENT, LIVE, DRAINING };
mtype:life state[SESSIONS] = LIVE;

/* Of each session one request at most is under way; its answer waits until some later call. */
mtype:message = { NOTHING, GRANT, RETURN, ADOPT, PUBLISH, GRANTED, ADOPTED };
mtype:message request[SESSIONS] = NOTHING;
mtype:message answer[SESSIONS] = NOTHING;
bool unconnected[SESSIONS];

#define is_served(p) (state[index(p)] == LIVE && !unconnected[index(p)])

/* Private to each session; here so that the audit can look at it. */
mtype:place = { NOT_OURS, SPARE, IN_HEAP };
mtype:place place[SESSIONS] = NOT_OURS;

/* Fates. Who is killed takes no other step than to forget what was private to it. */
byte kills = KILLS;
byte restarts = RESTARTS;
byte dying;             /* pid; 0: nobody */
bool killed[SESSIONS];  /* no image is left */
byte alone;             /* pid: all others are stopped for ever; 0: nobody is */
#define pid(session) (index(session) + 1)
#define DAEMON_PID   (SESSIONS + 1)
#define may_run      (dying == 0 || dying == _pid)
#define is_stopped   (alone != 0 && alone != _pid)

/* The presence file can be sealed. */
#ifdef RECOVERS_AT_EOF
#define is_sealed(p) (killed[index(p)] || unconnected[index(p)])
#else
#define is_sealed(p) killed[index(p)]
#endif

/* Picks a block, or a session, for which `holds`; waits for one. */
#if BLOCKS > 1
#define any_block(holds) if :: holds(0) -> b = 0 :: holds(1) -> b = 1 fi
#else
#define any_block(holds) if :: holds(0) -> b = 0 fi
#endif
#if SESSIONS > 2
#define any_session(holds) if :: holds(A) -> p = A :: holds(B) -> p = B :: holds(C) -> p = C fi
#define for_all(holds) (holds(A) && holds(B) && holds(C))
#else
#define any_session(holds) if :: holds(A) -> p = A :: holds(B) -> p = B fi
#define for_all(holds) (holds(A) && holds(B))
#endif

/* ---- of use in each call of a session, and each turn of the daemon */

#define has_span        (place[index(me)] == IN_HEAP)
#define is_away         (request[index(me)] != NOTHING || answer[index(me)] != NOTHING || \
                         unconnected[index(me)])

/* What a call leaves in its variables would only multiply the states. */
inline forget() { b = 0; w = 0; g = 0; is_mine = false }
#define done forget(); goto next_call
inline forget_turn() { p = 0; b = 0; w = 0; some_live = false }
#define done_turn forget_turn(); goto next_turn

inline push(b) {
  assert(!(stack & bit(b)));  /* F1: on a stack once */
  stack = stack | bit(b)
}
