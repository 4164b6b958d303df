/* A large block, alone in its span: its session collects it, or the daemon reclaims its memory.
 * The session's stack is its cache of large blocks (client/large_blocks.cpp). */
#include "own_word.pml"
#include "region.pml"

/* SessionState::own_span_locked() of a span that is new: own word, then carve word. */
inline carve() {
  atomic {
    printf("> %c allocates block 0 in a new span\n", letter(me));
    own[0] = make(me, made[0]);
    begins(0, me);
    mine = mine | 1;
    place[index(me)] = IN_HEAP
  }
  atomic { carved = true; done }
}

/* What cannot be returned stays: SessionState::return_large_locked(). */
inline send_back_if_connected() {
  if
  :: !unconnected[index(me)] -> send_back()
  :: else
  fi
}
inline keep_span() { atomic { true -> done } }

/* SessionState::collect_large_locked(): what the daemon has taken goes back. */
#define may_collect (has_span && stack == 0 && !is_away)
inline collect() {
  atomic {
    w = own[0];
    if
    :: owner(w) == FREED
    :: owner(w) == FREE -> push(0); done
    :: owner(w) == TAKEN -> send_back_if_connected(); done
    :: else -> done
    fi
  }
  atomic {
    if
#ifdef COLLECTS_LARGE_BY_PLAIN_STORE
    :: true ->
#else
    :: own[0] == w ->
#endif
       printf("> %c collects block 0\n", letter(me));
       own[0] = make(FREE, generation(w));
       push(0)
    :: else -> send_back_if_connected()
    fi;
    done
  }
}

#define is_freed_plainly(w) false
#define may_give_back (has_span && stack != 0 && !is_away)
#define is_for_small_blocks false
#include "blocks.pml"
#include "session.pml"

/* Slices of the reclaimed block that are still to be punched: RegionCore::taken_. */
#define SLICES 2
byte to_punch;

/* RegionCore::take_large_block() */
inline reclaim() {
  atomic { span != NOBODY && owner(own[0]) == FREED && carved -> w = own[0] }
  atomic {
    if
    :: own[0] == w ->
       printf("> block 0 is reclaimed\n");
       own[0] = make(TAKEN, generation(w));
       to_punch = SLICES
    :: else
    fi;
    done_turn
  }
}

/* RegionCore::next_punch(): nobody may have the bytes. */
inline punch() {
  atomic {
    to_punch > 0 ->
    assert(holder[0] == NOBODY);  /* punched under nobody */
    to_punch--;
    done_turn
  }
}

/* RegionCore::free_span() */
#ifdef PUNCHES_WHAT_WAS_RETURNED
inline free_span() { span = NOBODY }
#else
inline free_span() { span = NOBODY; to_punch = 0 }
#endif

#define AFTER_RESTART to_punch = 0
#define MORE_TURNS :: reclaim() :: punch()
#include "daemon.pml"
#include "fates.pml"
