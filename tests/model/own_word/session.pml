/* A session: whatever its interface lets it do, in any order and for ever. */

/* The span goes back once nobody has a block of it; from the message on it is not ours. */
inline send_back() {
  printf("> %c returns the span\n", letter(me));
  place[index(me)] = NOT_OURS;
  stack = 0;
  request[index(me)] = RETURN
}
inline give_back() {
  do
  :: atomic { b < BLOCKS && !is_live(own[b]) -> b++ }
  :: atomic { b < BLOCKS && is_live(own[b]) -> done }
  :: atomic { b == BLOCKS && !unconnected[index(me)] -> send_back(); done }
  :: atomic { b == BLOCKS && unconnected[index(me)] -> break }
  od;
  keep_span()
}

/* A request for a span: its answer is awaited until a deadline, that is, not at all. */
inline ask(what, may_ask) {
  atomic {
    may_ask && place[index(me)] == NOT_OURS && !is_away ->
    request[index(me)] = what;
#ifndef A_REQUEST_HAS_NO_DEADLINE
    done
#endif
  }
#ifdef A_REQUEST_HAS_NO_DEADLINE
  atomic { answer[index(me)] != NOTHING -> done }
#endif
}

/* SessionState::book_late_answers_locked() */
inline book() {
  atomic {
    answer[index(me)] != NOTHING ->
    if
    :: answer[index(me)] == GRANTED -> place[index(me)] = SPARE
    :: answer[index(me)] == ADOPTED -> place[index(me)] = IN_HEAP
    fi;
    answer[index(me)] = NOTHING;
    done
  }
}

/* Planned, for a daemon that is restarted: the directory says what a lost answer would. */
inline reconnect() {
  atomic {
    unconnected[index(me)] && answer[index(me)] == NOTHING ->
    unconnected[index(me)] = false;
    if
    :: span == me && place[index(me)] == NOT_OURS ->
       place[index(me)] = (carved -> IN_HEAP : SPARE)
    :: else
    fi;
    done
  }
}

#ifdef CLAIMS_OUT_OF_FREE
inline claim() {
  atomic {
    !has_span && owner(own[0]) == FREE ->
    own[0] = make(me, generation(own[0]));
    begins(0, me);
    mine = mine | 1;
    done
  }
}
#endif

inline use(b) {
  atomic {
    mine & bit(b) ->
    assert(is_buggy || holder[b] == me);  /* what is mine stays mine */
    done
  }
}

inline calls() {
  do
  :: allocate()
  :: free_block()
  :: offer()
  :: take_offered()
  :: may_collect -> collect()
  :: place[index(me)] == SPARE -> carve()
  :: may_give_back -> give_back()
  :: ask(GRANT, true)
  :: ask(ADOPT, is_for_small_blocks)
  :: book()
  :: reconnect()
  :: use(0)
#if BLOCKS > 1
  :: use(1)
#endif
#ifdef MORE_CALLS
  MORE_CALLS
#endif
#ifdef CLAIMS_OUT_OF_FREE
  :: claim()
#endif
  od
}

proctype Session(byte me; bool is_buggy) provided (may_run) {
  byte stack, mine, lent;  /* free blocks; in use; offered, and perhaps gone */
  byte b, w, g;
  bool is_mine;
again:
  stack = (has_span -> ALL : 0);
next_call:
#ifdef SHOWS_PROGRESS
progress_call:
  skip;
#endif
end_call:
  {
    { calls() } unless {
      if
      :: atomic {
           dying == _pid ->
           dying = 0;
           stack = 0;
           mine = 0;
           lent = 0;
           forget();
           place[index(me)] = NOT_OURS
         }
      :: is_stopped ->
end_stopped:
         false
      fi
    }
  };
  /* The id is used again, by a process that knows nothing. */
end_dead:
  atomic { state[index(me)] == ABSENT -> killed[index(me)] = false; state[index(me)] = LIVE };
  goto again
}

#ifdef SECOND_THREAD
/* Of a process that frees a block in one thread and offers it in another. */
proctype Thread(byte me) {
  byte mine, lent, b, w, g;
  bool is_mine, is_buggy = true;
next_call:
  offer()
}
#endif
