/* The daemon: one thread, one thing after the other. A turn ends with `done_turn`. */

#define asks_grant(p)  (request[index(p)] == GRANT)
#define asks_return(p) (request[index(p)] == RETURN)
#define asks_adopt(p)  (request[index(p)] == ADOPT)
#define is_dead(p)     (is_sealed(p) && state[index(p)] != ABSENT)
#define holds_live     (is_live(own[0]) || is_live(own[BLOCKS - 1]))

/* RegionCore::finish_grant(): words, carve word, and last the descriptor, which is the grant. */
#ifdef GRANTS_WHAT_IS_HELD
#define may_grant(p) (span == NOBODY || (span != ORPHAN && span != p && !holds_live))
#else
#define may_grant(p) (span == NOBODY)
#endif
inline grant() {
  atomic {
    any_session(asks_grant);
    request[index(p)] = NOTHING;
    if
    :: may_grant(p) && is_served(p)
    :: else -> done_turn
    fi
  }
  do
  :: atomic { b < BLOCKS -> own[b] = make(INVALID, 0); b++ }
  :: atomic { b == BLOCKS -> carved = false; break }
  od;
  atomic { printf("> the span is granted to %c\n", letter(p)); span = p }
  atomic { answer[index(p)] = GRANTED; done_turn }
}

/* RegionCore::return_spans(), sweep_orphan(): not while a block is live. */
inline end_span_if_free() {
  do
  :: atomic { b < BLOCKS && !is_live(own[b]) -> b++ }
  :: atomic { b < BLOCKS && is_live(own[b]) -> done_turn }
  :: atomic { b == BLOCKS -> printf("> the span ends\n"); free_span(); done_turn }
  od
}
inline take_back() {
  atomic {
    any_session(asks_return);
    request[index(p)] = NOTHING;
    if
    :: span == p && is_served(p)
    :: else -> done_turn
    fi
  }
  end_span_if_free()
}
inline sweep_orphan() {
  span == ORPHAN && !holds_live;
  end_span_if_free()
}

/* RegionCore::adopt_orphan() */
inline adopt_orphan() {
  atomic {
    any_session(asks_adopt);
    request[index(p)] = NOTHING;
    if
    :: span == ORPHAN && is_served(p) -> printf("> the orphan goes to %c\n", letter(p)); span = p
    :: else -> done_turn
    fi
  }
  atomic { answer[index(p)] = ADOPTED; done_turn }
}

/* RegionCore::recover_step(): word by word, then the span, and last the id. */
#ifdef RECOVERS_BY_PLAIN_STORE
#define is_unchanged(b, w) true
#else
#define is_unchanged(b, w) (own[b] == w)
#endif
#ifdef RECOVERY_GOES_ON_AFTER_A_RESTART
byte vault_recovered;
#endif
#define names(b) (owner(own[b]) == p)
inline look_at(b) {
  w = own[b];
  if
  :: owner(w) == p
  :: else -> some_live = some_live || is_live(w); b++
  fi
}
inline recover() {
  atomic {
    any_session(is_dead);
    printf("> recovery of %c\n", letter(p));
    state[index(p)] = DRAINING;
#ifdef RECOVERY_GOES_ON_AFTER_A_RESTART
    b = vault_recovered
#endif
  }
  do
  :: atomic {
       b < BLOCKS && span != NOBODY && owner(w) != p ->
#ifdef RECOVERY_GOES_ON_AFTER_A_RESTART
       vault_recovered = b + 1;
#endif
       look_at(b)
     }
  :: atomic {
       owner(w) == p ->
       if
       :: is_unchanged(b, w) ->
          printf("> block %d of %c is freed\n", b, letter(p));
          own[b] = after_free(w, FREED);
          ends(b, p);
          w = 0;
          b++
       :: else -> look_at(b)
       fi
     }
  :: owner(w) != p && (b == BLOCKS || span == NOBODY) -> break
  od;
  if
  :: atomic { span == p && some_live -> printf("> its span is an orphan\n"); span = ORPHAN }
  :: atomic { span == p && !some_live -> printf("> its span ends\n"); free_span() }
  :: span != p
  fi;
#ifdef MORE_RECOVERY
  MORE_RECOVERY;
#endif
  atomic {
    printf("> %c is recovered\n", letter(p));
    assert(!names(0) && !names(BLOCKS - 1) && span != p);  /* I4: nothing names the dead */
    request[index(p)] = NOTHING;
    answer[index(p)] = NOTHING;
    unconnected[index(p)] = false;
    state[index(p)] = ABSENT;
#ifdef RECOVERY_GOES_ON_AFTER_A_RESTART
    vault_recovered = 0;
#endif
    done_turn
  }
}

/* What holds whenever the daemon has nothing to do. Nothing leaks: who has a span or a block is there
 * and knows of it, or it will be his who is granted the span next. */
#define is_quiet(p) (request[index(p)] == NOTHING && !is_dead(p))
#define span_is_known(p) (span != p || (state[index(p)] == LIVE && \
  (place[index(p)] != NOT_OURS || answer[index(p)] != NOTHING || unconnected[index(p)])))
#define owner_lives(b) (!is_session(own[b]) || state[index(owner(own[b]))] == LIVE)
#define live_owner(b)  (is_live(own[b]) -> owner(own[b]) : NOBODY)
inline audit(b) {
  assert(holder[b] == live_owner(b));  /* I2: the word names its owner */
  assert(owner_lives(b));  /* I4: what is named lives */
  assert(span != NOBODY || !is_live(own[b]));  /* what is live has a span */
  assert(span == NOBODY || !carved || owner(own[b]) != INVALID)  /* I7: no block is lost */
}

inline turns() {
  do
  :: grant()
  :: take_back()
  :: sweep_orphan()
  :: adopt_orphan()
  :: recover()
#ifdef MORE_TURNS
  MORE_TURNS
#endif
  :: atomic {
       for_all(is_quiet) && (span != ORPHAN || holds_live) ->
       audit(0);
       audit(BLOCKS - 1);
       assert(for_all(span_is_known));  /* I4: no span is lost or names the dead */
#ifdef MORE_AUDIT
       MORE_AUDIT;
#endif
       done_turn
     }
  od
}

proctype Daemon() provided (may_run) {
  byte p, b, w;
  bool some_live;
again:
#ifdef AFTER_RESTART
  { AFTER_RESTART } unless { atomic { dying == _pid -> dying = 0; goto again } };
#endif
next_turn:
#ifdef SHOWS_PROGRESS
progress_turn:
  skip;
#endif
end_turn:
  {
    { turns() } unless {
      if
      :: atomic { dying == _pid -> dying = 0; forget_turn() }
      :: is_stopped ->
end_stopped:
         false
      fi
    }
  };
  goto again
}
