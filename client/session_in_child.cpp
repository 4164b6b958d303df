// What a forked child makes of the process's private heap.
//
// The child has all its memory and one thread. What another thread was in the middle of stands as if
// that thread had been killed between two stores: the locks that fork() takes cover the session's
// lists, and of a heap only what lies in the ledger is believed. So heaps of threads that are gone
// begin anew, and their spans, found by descriptors and carve words as in a recovery, go to one of
// them, which waits for the child's next thread.
//
// Counters of such a heap may say one operation too few; the child alone would notice.

#include <algorithm>
#include <new>

#include "client/session_state.hpp"

namespace allot {

void ThreadHeap::begin_anew() noexcept {
  empty_stacks();
  for (std::uint32_t bin = 0; bin < region::kBinsPerHeap; ++bin) {
    counters_of(bin).granted.store_relaxed(0);
    // The vector may have been in the middle of growing: it is left as it is.
    new (&spans_[bin]) std::vector<std::uint32_t>();
  }
  cursors_.fill(0);
  forgotten_.fill(0);
  known_.forget();
}

namespace detail {

using region::kGranuleBytes;

// Spans in the session's own lists, which are whole.
std::set<std::uint32_t> SessionState::listed_spans() const {
  std::set<std::uint32_t> listed;
  for (const auto& [kind, spares] : spares_) listed.insert(spares.begin(), spares.end());
  for (const auto& [first, large] : large_) listed.insert(first);
  for (const auto& [begin, reservation] : reservations_) {
    for (const GrownSpan& span : reservation.spans) listed.insert(span.first);
  }
  return listed;
}

void SessionState::inherit_span(ThreadHeap& heir, const region::SpanRef& span) {
  const region::Carving carving = view_.carving_of(span);
  if (carving.kind == region::Carving::Kind::kNone) {
    // Its carving was not finished. No block of it was ever handed out.
    for (std::uint32_t i = 0; i < span.word_count; ++i) {
      view_.word(span.first, i).store_relaxed(OwnWord::make(OwnWord::kInvalid, 0));
    }
    keep_span_locked(span.first);
    return;
  }
  if (carving.kind != region::Carving::Kind::kBlocks) return;
  const std::uint32_t bin = carving.bin;
  if (!heir.is_open(bin) && (bin - region::kFirstPoolBin >= pools_.size() ||
                             !heir.open_pool(bin, pools_[bin - region::kFirstPoolBin]))) {
    return;
  }
  heir.adopt_span(bin, span.first, window_granules_.load_relaxed() * kGranuleBytes);
}

void SessionState::go_on_in_child() {
  // Somebody may have held its mutex.
  (void)owed_pins_.release();
  owed_pins_ = std::make_unique<OwedPins>();
  std::vector<const FastHeap*> kept = {this_threads_heap(), session_heap_};
  kept.insert(kept.end(), parked_.begin(), parked_.end());
  const auto is_kept = [&](const FastHeap* heap) {
    return std::find(kept.begin(), kept.end(), heap) != kept.end();
  };
  ThreadHeap* heir = nullptr;
  for (ThreadHeap* const heap : heaps_) {
    if (is_kept(heap)) continue;
    heap->begin_anew();
    parked_.push_back(heap);
    heir = heap;
  }
  if (heir == nullptr) return;
  const std::set<std::uint32_t> listed = listed_spans();
  const std::uint64_t window = window_granules_.load_relaxed();
  for (std::uint64_t granule = 0; granule < window;) {
    const auto span = view_.find_span(granule, window);
    if (!span) {
      ++granule;
      continue;
    }
    granule = span->first + span->head.granules;
    if (!is_of_session({*span, {}, 0, nullptr}) || listed.contains(span->first)) continue;
    const FastHeap* const owner = cells_[span->first].heap;
    if (owner == nullptr || !is_kept(owner)) inherit_span(*heir, *span);
  }
}

}  // namespace detail
}  // namespace allot
