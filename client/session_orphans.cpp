// Orphans: spans whose session is gone, while others still use some of their blocks. A heap that needs
// blocks of their size takes them over, with the blocks that are free.

#include <algorithm>

#include "client/session_state.hpp"

namespace allot::detail {

namespace p = protocol;
using region::kGranuleBytes;

bool SessionState::adopt_orphan(ThreadHeap& heap, std::uint32_t bin, const SpareKind& kind,
                                CallDeadline& deadline) {
  // A debugging session looks for its pattern in what was freed.
  if (bin >= region::kClassCount || debug_ != nullptr) return false;
  // Relaxed: what counts is what the service answers.
  const std::uint64_t news = view_.header().orphan_news[bin].load_relaxed();
  if (news == 0) return false;
  auto lock = lock_open(deadline);
  if (!lock) return false;
  book_late_answers_locked();
  if (take_over_late_locked(heap, bin)) {
    seen_orphan_news_[bin] = 0;  // there may be more
    return true;
  }
  if (news == seen_orphan_news_[bin]) return false;
  // What is granted later lies in the window, too, or nothing does.
  if (!open_window_locked(view_.header().high_water_granules.load_acquire())) return false;
  // For the same news not again, unless there was one.
  seen_orphan_news_[bin] = news;
  if (!spares_[kind].empty()) {
    // Nobody waits while there is something else.
    (void)request_ahead_locked(p::AdoptOrphan{bin});
    return false;
  }
  const auto answer = request_locked(p::AdoptOrphan{bin}, deadline);
  const auto* const adopted = answer ? std::get_if<p::Adopted>(&*answer) : nullptr;
  if (adopted == nullptr) return false;
  late_orphans_.push_back(adopted->first);
  if (!take_over_late_locked(heap, bin)) return false;
  seen_orphan_news_[bin] = 0;
  return true;
}

// One that was adopted and is in no heap.
bool SessionState::take_over_late_locked(ThreadHeap& heap, std::uint32_t bin) {
  const auto late =
      std::find_if(late_orphans_.begin(), late_orphans_.end(),
                   [&](std::uint64_t first) { return orphan_bin_locked(first) == bin; });
  if (late == late_orphans_.end()) return false;
  const std::uint64_t first = *late;
  late_orphans_.erase(late);
  heap.adopt_span(bin, static_cast<std::uint32_t>(first),
                  window_granules_.load_relaxed() * kGranuleBytes);
  return true;
}

// The class that the span at `first` is cut for; kLargeBin where that cannot be said: somebody may have
// changed its carve word. Then it goes with the session.
std::uint32_t SessionState::orphan_bin_locked(std::uint64_t first) const {
  const auto span = view_.find_span(first, window_granules_.load_relaxed());
  if (!span || span->first != first || !is_of_session({*span, {}, 0, nullptr})) {
    return region::kLargeBin;
  }
  const region::Carving carving = view_.carving_of(*span);
  const bool is_of_class =
      carving.kind == region::Carving::Kind::kBlocks && carving.bin < region::kClassCount;
  return is_of_class ? carving.bin : region::kLargeBin;
}

// So that what is free of them goes back with what is free of the heap.
void SessionState::take_over_all_late_locked(ThreadHeap& heap) {
  for (std::uint32_t bin = 0; bin < region::kClassCount && !late_orphans_.empty(); ++bin) {
    while (take_over_late_locked(heap, bin)) {
    }
  }
}

}  // namespace allot::detail
