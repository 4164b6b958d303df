/* A span of small blocks: its carving, and how its heap gets back what others freed. */

/* ThreadHeap::carve(). Random generations are new ones, but once in 2^18 times: here always. */
#ifdef CARVES_AT_OLD_GENERATIONS
#define new_generation(b) 0
#else
#define new_generation(b) made[b]
#endif
inline carve() {
#ifdef CARVE_WORD_FIRST
  carved = true;
#endif
  do
  :: atomic { b < BLOCKS -> own[b] = make(FREE, new_generation(b)); b++ }
  :: b == BLOCKS -> break
  od;
  atomic {
    printf("> %c carves the span\n", letter(me));
    carved = true;
    place[index(me)] = IN_HEAP;
    stack = ALL;
    done
  }
}

/* ThreadHeap::collect_span(). Its store is plain: nobody else moves such a word out of freed. */
#ifdef COLLECTS_INTO_A_FULL_STACK
#define may_collect has_span
#else
#define may_collect (has_span && stack == 0)  /* F2 */
#endif
inline collect() {
  do
  :: atomic {
       b < BLOCKS && owner(w) != FREED ->
       w = own[b];
       if
       :: owner(w) == FREE -> push(b); w = 0; b++
       :: owner(w) == FREED
       :: else -> w = 0; b++
       fi
     }
  :: atomic {
       owner(w) == FREED ->
       printf("> %c collects block %d\n", letter(me), b);
       own[b] = make(FREE, generation(w));
       push(b);
       w = 0;
       b++
     }
  :: atomic { b == BLOCKS -> done }
  od
}

/* try_push() is a plain store, of a block of an own span that was never exposed. */
#ifdef FREES_EXPOSED_BY_PLAIN_STORE
#define is_freed_plainly(w) (has_span && owner(w) == me)
#else
#define is_freed_plainly(w) (has_span && w == make(me, generation(w)))
#endif

/* ThreadHeap::release_free_spans(). Where no message can be sent the span is one to carve again:
 * SessionState::keep_span_locked(). */
#define may_give_back (has_span && !is_away)
inline keep_span() {
  atomic {
    printf("> %c keeps the span\n", letter(me));
    place[index(me)] = SPARE;
    stack = 0;
    b = 0;
    carved = false
  }
  do
  :: atomic { b < BLOCKS -> own[b] = make(INVALID, 0); b++ }
  :: atomic { b == BLOCKS -> done }
  od
}
#define is_for_small_blocks true
