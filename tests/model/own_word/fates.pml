/* What may happen to the processes at any moment, and how a model begins: with a span of A's. */

#define may_die(p) (kills > 0 && state[index(p)] == LIVE && !killed[index(p)])

/* Who dies is said last, for then nobody else may run. */
inline kill_session(p) {
  atomic {
    may_die(p) ->
    kills--;
#ifdef RECOVERS_AT_EOF
    printf("> the connection of %c ends\n", letter(p));
    unconnected[index(p)] = true
#else
    printf("> %c is killed\n", letter(p));
    killed[index(p)] = true;
    dying = pid(p)
#endif
  }
}

/* With it goes what was on its way. */
inline lose_connection(p) { request[index(p)] = NOTHING; unconnected[index(p)] = true }
inline kill_daemon() {
  atomic {
    restarts > 0 ->
    restarts--;
    printf("> the daemon is killed\n");
    lose_connection(A);
    lose_connection(B);
#if SESSIONS > 2
    lose_connection(C);
#endif
    dying = DAEMON_PID
  }
}

proctype Fate() provided (may_run) {
end_fate:
  do
  :: kill_session(A)
  :: kill_session(B)
#if SESSIONS > 2
  :: kill_session(C)
#endif
  :: kill_daemon()
#ifdef STOPS
  :: atomic {
       if
       :: printf("> all but A are stopped\n"); alone = pid(A)
       :: printf("> all but B are stopped\n"); alone = pid(B)
       :: printf("> all but the daemon are stopped\n"); alone = DAEMON_PID
       fi;
       break
     }
#endif
  od
}

init {
  atomic {
    own[0] = make(FREE, 0);
    own[BLOCKS - 1] = make(FREE, 0);
    carved = true;
    span = A;
    place[index(A)] = IN_HEAP;
    run Session(A, A == BUGGY);
    run Session(B, B == BUGGY);
#if SESSIONS > 2
    run Session(C, C == BUGGY);
#endif
    run Daemon();
    run Fate();
#ifdef SECOND_THREAD
    run Thread(A)
#endif
  }
}
