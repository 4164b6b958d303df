// Orphans: spans whose session is gone, while others still use some of their blocks. A heap that needs
// blocks of their size takes them over, with the blocks that are free.

#include <algorithm>

#include "client/session_state.hpp"

namespace allot::detail {

namespace p = protocol;
using region::kGranuleBytes;

bool SessionState::adopt_orphan(ThreadHeap& heap, std::uint32_t bin, CallDeadline& deadline) {
  // A debugging session looks for its pattern in what was freed.
  if (bin >= region::kClassCount || debug_ != nullptr) return false;
  // Relaxed: what counts is what the service answers.
  const std::uint64_t news = view_.header().orphan_news[bin].load_relaxed();
  if (news == 0) return false;
  auto lock = lock_open(deadline);
  if (!lock) return false;
  book_late_answers_locked();
  for (auto late = late_orphans_.begin(); late != late_orphans_.end(); ++late) {
    if (!take_over_locked(heap, bin, *late)) continue;
    late_orphans_.erase(late);
    return true;
  }
  if (news == seen_orphan_news_[bin]) return false;
  const auto answer = request_locked(p::AdoptOrphan{bin}, deadline);
  const auto* const adopted = answer ? std::get_if<p::Adopted>(&*answer) : nullptr;
  if (adopted == nullptr) {
    // There is none, or none for us, or nobody to ask: not again for the same news.
    seen_orphan_news_[bin] = news;
    return false;
  }
  // Where the window does not open, or somebody changed the carve word, it is of no use to us; it goes
  // with the session.
  return open_window_locked(adopted->high_water_granules).has_value() &&
         take_over_locked(heap, bin, adopted->first);
}

bool SessionState::take_over_locked(ThreadHeap& heap, std::uint32_t bin, std::uint64_t first) {
  const std::uint64_t window = window_granules_.load_relaxed();
  const auto span = view_.find_span(first, window);
  if (!span || span->first != first || !is_of_session({*span, {}, 0, nullptr})) return false;
  const region::Carving carving = view_.carving_of(*span);
  if (carving.kind != region::Carving::Kind::kBlocks || carving.bin != bin) return false;
  heap.adopt_span(bin, span->first, window * kGranuleBytes);
  return true;
}

}  // namespace allot::detail
