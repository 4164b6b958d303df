/* A block that is published, found, unpublished: daemon/core/region_names.cpp, with one name.
 *
 * And with what is planned for a daemon that is restarted: in the vault a name is pending before the
 * own word changes, and hidden until its block is free; pins are there, too. The messages to find,
 * unpin and unpublish are left out: the daemon may do any of it at any time. */
#include "own_word.pml"
#include "region.pml"
#include "small_blocks.pml"

bool visible;                   /* the directory's entry */
bool vault_pending, vault_hidden;
bool vault_pinned[SESSIONS];
byte named;                     /* the generation of the block under the name */
byte wanted[SESSIONS];          /* the generation that a request to publish is about */

#define kept_word (make(KEPT, named) | EXPOSED)
#define is_pinned (vault_pinned[0] || vault_pinned[1])

#ifdef A_LATE_PUBLISH_IS_NONE
/* A publish() that has no answer in time takes its offer back. */
bool given_up[SESSIONS];
inline note_retracted() {
  given_up[index(me)] = given_up[index(me)] || (owner(w) == me && g == wanted[index(me)])
}
#define ON_TAKEN note_retracted()
#endif

/* SessionState::publish() of what was offered, by any handle that was ever made. */
inline publish() {
  atomic {
    !is_away && made[0] > 0 ->
    any_number_below(made[0]);
#ifdef PUBLISHES_BY_ITSELF
    if
    :: own[0] == (make(me, g) | EXPOSED | OFFERED) ->
       own[0] = make(KEPT, g) | EXPOSED;
       moves(0, me, KEPT)
    :: else -> done
    fi;
#endif
    printf("> %c asks for a name of generation %d\n", letter(me), g);
    wanted[index(me)] = g
  }
  atomic {
#ifdef A_LATE_PUBLISH_IS_NONE
    given_up[index(me)] = false;
#endif
    if
    :: !unconnected[index(me)] -> request[index(me)] = PUBLISH
    :: else
    fi;
    done
  }
}

/* Whoever has found a block may read it. */
inline read_found() {
  atomic {
    vault_pinned[index(me)] ->
    assert(holder[0] == KEPT && own[0] == kept_word);  /* what is pinned stays */
    done
  }
}
#define MORE_CALLS :: publish() :: read_found()
#include "blocks.pml"
#include "session.pml"

/* RegionCore::publish() */
#define asks_publish(p) (request[index(p)] == PUBLISH)
inline keep() {
  atomic {
    any_session(asks_publish);
    request[index(p)] = NOTHING;
    w = own[0];
    if
    :: is_served(p) && !visible && !vault_hidden && generation(w) == wanted[index(p)] &&
#ifdef PUBLISHES_BY_ITSELF
       owner(w) == KEPT
#else
       owner(w) == p && (w & OFFERED)
#endif
    :: else -> done_turn
    fi;
    named = generation(w);
#ifndef NAME_IS_NOT_PENDING
    vault_pending = true
#endif
  }
#ifndef PUBLISHES_BY_ITSELF
  atomic {
    if
    :: own[0] == w ->
       printf("> block 0 of %c is kept\n", letter(p));
#ifdef A_LATE_PUBLISH_IS_NONE
       assert(!given_up[index(p)]);  /* a publish that was given up is none */
#endif
       own[0] = kept_word;
       moves(0, p, KEPT)
    :: else -> vault_pending = false; done_turn
    fi
  }
#endif
  visible = true;
  atomic { vault_pending = false; done_turn }
}

/* RegionCore::find(), unpin(), unpublish() */
#define may_find(p) \
  (visible && !vault_hidden && state[index(p)] == LIVE && !vault_pinned[index(p)])
#define may_unpin(p) vault_pinned[index(p)]
inline find() { atomic { any_session(may_find); vault_pinned[index(p)] = true; done_turn } }
inline unpin() { atomic { any_session(may_unpin); vault_pinned[index(p)] = false; done_turn } }
inline unpublish() {
  atomic { visible && !vault_hidden -> vault_hidden = true }
  atomic { visible = false; done_turn }
}

/* RegionCore::free_kept_block() */
#ifdef FREES_WHAT_IS_PINNED
#define may_end (vault_hidden && !visible)
#else
#define may_end (vault_hidden && !visible && !is_pinned)
#endif
inline end_name() {
  may_end;
  atomic {
    own[0] == kept_word ->
    printf("> block 0 is kept no more\n");
    own[0] = after_free(kept_word, FREED);
    ends(0, KEPT)
  }
  atomic { vault_hidden = false; done_turn }
}

/* Planned: what a killed daemon leaves in the vault is finished. */
inline replay() {
  if
  :: vault_pending && own[0] == kept_word -> visible = true
  :: else
  fi;
  vault_pending = false;
  if
  :: vault_hidden -> visible = false
  :: else
  fi;
  if
  :: vault_hidden && own[0] != kept_word -> vault_hidden = false
  :: else
  fi
}

inline audit_name() {
  assert((owner(own[0]) == KEPT) == (visible || vault_hidden));  /* kept if it has a name */
  assert(!visible || own[0] == kept_word)  /* a name has its block */
}

#define AFTER_RESTART replay()
#define MORE_RECOVERY vault_pinned[index(p)] = false
#define MORE_TURNS :: keep() :: find() :: unpin() :: unpublish() :: end_name()
#define MORE_AUDIT audit_name()

/* RegionCore::free_span() */
inline free_span() { span = NOBODY }

#include "daemon.pml"
#include "fates.pml"
