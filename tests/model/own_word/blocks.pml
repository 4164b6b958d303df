/* What a session does with blocks. A correct one frees and offers what is its own, and may free what
 * it offered; a buggy one tries it with any. All adopt by whatever handle was ever made. */

#define is_stacked(b)   (stack & bit(b))
#define is_freeable(b)  (is_buggy || ((mine | lent) & bit(b)))
#define is_offerable(b) (is_buggy || (mine & bit(b)))
#define has_handle(b)   (made[b] > 0)

/* try_pop(): the stack's top moves before the own word (F3). */
inline allocate() {
  atomic {
    any_block(is_stacked);
    w = own[b];
    stack = stack & ~bit(b);
    if
    :: w != make(FREE, generation(w)) ->
#ifndef ONLY_WHAT_IS_PROMISED
       assert(false);  /* F1: free while on a stack */
#endif
       done  /* drop_damaged() */
    :: else
    fi
  }
  atomic {
    printf("> %c allocates block %d\n", letter(me), b);
    own[b] = make(me, generation(w));
    begins(b, me);
    mine = mine | bit(b);
    done
  }
}

/* try_push(), SessionState::free() */
#ifdef FREE_BELIEVES_ITS_CALLER
#define is_refused_to_free(w) !is_session(w)
#else
#define is_refused_to_free(w) (owner(w) != me)
#endif
inline free_block() {
  atomic {
    any_block(is_freeable);
    w = own[b];
    is_mine = !is_buggy && (mine & bit(b));
    mine = mine & ~bit(b);
    lent = lent & ~bit(b);
    check_free()
  }
  do
  :: atomic {
       own[b] == w || is_freed_plainly(w) ->
       printf("> %c frees block %d\n", letter(me), b);
       own[b] = after_free(w, (has_span -> FREE : FREED));
       ends(b, me);
       if
       :: has_span -> push(b)
       :: else
       fi;
       done
     }
  :: atomic { own[b] != w && !is_freed_plainly(w) -> w = own[b]; check_free() }
  od
}
inline check_free() {
  if
  :: is_refused_to_free(w) ->
     assert(!is_mine);  /* what is mine can be freed */
     done
  :: else
  fi
}

/* SessionState::expose(), offering */
inline offer() {
  atomic { any_block(is_offerable); w = own[b]; check_offer() }
  do
  :: atomic {
       own[b] == w ->
       printf("> %c offers block %d, generation %d\n", letter(me), b, generation(w));
       own[b] = w | EXPOSED | OFFERED;
       gets_handle(b, generation(w));
       mine = mine & ~bit(b);
       lent = lent | bit(b);
       done
     }
  :: atomic { own[b] != w -> w = own[b]; check_offer() }
  od
}
inline check_offer() {
  if
  :: owner(w) != me ->
     assert(is_buggy);  /* what is mine can be offered */
     done
  :: owner(w) == me && generation(w) >= GENERATIONS -> done
  :: else
  fi
}

/* SessionState::take_offered(): adopt; retract is the same, by the owner. */
#ifdef ADOPTS_ANY_GENERATION
#define is_named(w) is_session(w)
#else
#define is_named(w) (generation(w) == g && is_session(w))
#endif
#ifdef ADOPTS_WHAT_IS_NOT_OFFERED
#define may_take(w) is_named(w)
#else
#define may_take(w) (is_named(w) && ((w) & OFFERED))
#endif
#ifdef ADOPT_DROPS_EXPOSED
#define taken(w) make(me, generation(w))
#else
#define taken(w) (make(me, generation(w)) | EXPOSED)
#endif
inline take_offered() {
  atomic {
    any_block(has_handle);
    any_number_below(made[b]);
    w = own[b];
    check_take()
  }
  do
  :: atomic {
       may_take(w) && own[b] == w ->
       printf("> %c takes block %d, generation %d, from %c\n", letter(me), b, g, letter(owner(w)));
       assert(g >= stale[b]);  /* a stale handle never adopts */
       own[b] = taken(w);
       moves(b, owner(w), me);
       mine = mine | bit(b);
       lent = lent & ~bit(b);
#ifdef ON_TAKEN
       ON_TAKEN;
#endif
       done
     }
  :: atomic { !may_take(w) || own[b] != w -> w = own[b]; check_take() }
  od
}
inline any_number_below(end) {
  g = end - 1;
  do
  :: g > 0 -> g--
  :: break
  od
}
inline check_take() {
  if
#ifdef ADOPT_WAITS_FOR_AN_OFFER
  :: !is_named(w) -> done
#else
  :: !may_take(w) -> done
#endif
  :: else
  fi
}
