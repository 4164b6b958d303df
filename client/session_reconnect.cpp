// Going on after the daemon's death: the session resumes at the next one, and finds what was lost.
//
// Of a request whose answer did not come nobody knows whether the dead daemon had done it. The
// directory says so of spans and heaps, the next daemon of reservations and pins. All that is the
// session's and in none of its lists is put into one, or ended: that is to reconcile. It may be broken
// off at any line by the death of the next daemon, or by a deadline, and begun anew; until it is
// done nothing else is sent.
//
// No span is found twice. The lists, `arriving` and the cells of all heaps name every span that
// somebody uses or may use (S1): cells change only under the mutex, but when a span that arrives is
// carved. Spans that a caller has in his hands while he waits for an answer are on their way back to
// the daemon: he asks whether there was a walk, and if so leaves them where it put them.

#include <algorithm>
#include <utility>
#include <variant>

#include "client/session_state.hpp"

namespace allot::detail {

namespace p = protocol;

namespace {

// Others are sent again: what an earlier daemon did of them was found, or is nobody's. A return that
// was not done is not wanted any more; an orphan that was not adopted is asked for by the next news.
bool may_be_sent_again(const p::Body& body) noexcept {
  return !std::holds_alternative<p::ReturnSpan>(body) &&
         !std::holds_alternative<p::AdoptOrphan>(body) && !std::holds_alternative<p::Bye>(body);
}

}  // namespace

Expected<p::Body> SessionState::request_locked(const p::Body& body, CallDeadline& deadline) {
  const std::uint64_t walks = walks_;
  bool may_be_done = false;  // by a daemon that died
  for (;;) {
    Expected<void> ready;
    if (unreconciled_ && life_error() == Errc::kOk) ready = reconnect_locked(deadline);
    // A walk put what the caller gives back into a list.
    const bool is_void = walks_ != walks && !may_be_sent_again(body);
    if (!ready || is_void) {
      latest_outcome_ = may_be_done || is_void ? Outcome::kUnknown : Outcome::kNotSent;
      return ready ? Error(Errc::kDaemonGone) : ready.error();
    }
    auto answer = parts_.channel->request(body, deadline.at());
    latest_outcome_ = parts_.channel->latest_outcome();
    if (!answer && latest_outcome_ == Outcome::kAnswered && may_be_done &&
        was_done_locked(body, answer.error())) {
      return p::Body(p::Done{});
    }
    if (answer || latest_outcome_ == Outcome::kAnswered) return answer;
    may_be_done = may_be_done || latest_outcome_ == Outcome::kUnknown;
    if (may_be_done) latest_outcome_ = Outcome::kUnknown;
    if (answer.error() != Errc::kDaemonGone || life_error() != Errc::kOk) return answer;
    if (auto again = reconnect_locked(deadline); !again) {
      if (walks_ != walks && !may_be_sent_again(body)) latest_outcome_ = Outcome::kUnknown;
      return again.error();
    }
  }
}

// Whether a refusal only says that an earlier daemon has done it.
bool SessionState::was_done_locked(const p::Body& body, const Error& refused) const {
  const Errc errc = refused.errc();
  if (std::holds_alternative<p::Unpublish>(body)) {
    return errc == Errc::kNameUnknown || errc == Errc::kStaleHandle;
  }
  if (std::holds_alternative<p::Unpin>(body)) return errc == Errc::kNameUnknown;
  if (std::holds_alternative<p::Unreserve>(body)) return errc == Errc::kNotOwner;
  const auto* const publish = std::get_if<p::Publish>(&body);
  if (publish == nullptr) return false;
  return (errc == Errc::kNameTaken || errc == Errc::kPublished || errc == Errc::kStaleHandle ||
          errc == Errc::kNotOffered) &&
         is_published_locked(*publish);
}

bool SessionState::is_published_locked(const p::Publish& wanted) const {
  for (std::uint32_t slot = 0; slot < region::kNameLimit; ++slot) {
    const region::NameEntry& entry = view_.name(slot);
    if (entry.state.load_acquire() != 1 || entry.handle != wanted.handle) continue;
    const p::Name name = entry.name;
    if (p::text(name) == p::text(wanted.name)) return true;
  }
  return false;
}

// --- the next daemon ---

p::Resume SessionState::make_resume() const {
  p::Resume resume;
  resume.fingerprint = region::fingerprint();
  p::set_text(resume.region, parts_.region_name);
  resume.region_created_unix_ns = view_.header().created_unix_ns;
  resume.session = id_;
  resume.incarnation = parts_.welcome.incarnation;
  return resume;
}

void SessionState::reconnect_if_lost_locked(CallDeadline& deadline) {
  // Where nobody can be reached the requests that follow say so.
  if (unreconciled_ || !parts_.channel->is_connected()) (void)reconnect_locked(deadline);
}

Expected<void> SessionState::reconnect_locked(CallDeadline& deadline) {
  for (;;) {
    if (!unreconciled_ || !parts_.channel->is_connected()) {
      auto resumed = parts_.channel->reconnect(make_resume(), deadline.at());
      if (!resumed) return resumed;
      unreconciled_ = true;
      ahead_ = {};
    }
    auto reconciled = reconcile_locked(deadline);
    if (reconciled || reconciled.error() != Errc::kDaemonGone) return reconciled;
    if (deadline.has_passed()) return Error(Errc::kDeadline);
  }
}

Expected<void> SessionState::reconcile_locked(CallDeadline& deadline) {
  find_lost_spans_locked();
  find_lost_heaps_locked();
  if (auto ended = end_lost_reservations_locked(deadline); !ended) return ended;
  if (auto ended = end_lost_pins_locked(deadline); !ended) return ended;
  unreconciled_ = false;
  return {};
}

// --- spans and heaps ---

std::set<std::uint32_t> SessionState::known_spans_locked() const {
  std::set<std::uint32_t> known = listed_spans();
  for (const std::uint64_t first : late_orphans_) known.insert(static_cast<std::uint32_t>(first));
  for (const ThreadHeap* const heap : heaps_) {
    // A30 pairs with R30 in ThreadHeap::carve(): what has arrived is seen in the cells.
    known.insert(heap->arriving.load_acquire());
  }
  return known;
}

void SessionState::find_lost_spans_locked() {
  ++walks_;
  // What lies beyond a window that cannot be opened is of no use.
  (void)open_window_locked(view_.header().high_water_granules.load_acquire());
  const std::set<std::uint32_t> known = known_spans_locked();
  const std::uint64_t window = window_granules_.load_relaxed();
  for (std::uint64_t granule = 0; granule < window;) {
    const auto span = view_.find_span(granule, window);
    if (!span) {
      ++granule;
      continue;
    }
    granule = span->first + span->head.granules;
    const bool is_known =
        known.contains(span->first) || cells_[span->first].granules != 0;  // after `known` was made
    if (is_of_session({*span, {}, 0, nullptr}) && !is_known) book_lost_span_locked(*span);
  }
}

// A grant whose answer was lost, an adoption, or a return that was not done. What fits none of these
// goes with the session.
void SessionState::book_lost_span_locked(const region::SpanRef& span) {
  const std::uint32_t first = span.first;
  const region::Carving carving = view_.carving_of(span);
  if (carving.kind == region::Carving::Kind::kInvalid) return;
  bool is_used = false;
  for (std::uint32_t i = 0; i < carving.block_count && !is_used; ++i) {
    is_used = OwnWord::is_live(view_.word(first, i).load_acquire());
  }
  if (reservation_at(first) != reservations_.end()) {
    const std::uint64_t end = first + span.head.granules;
    // Whether it was used before is not known.
    if (!is_used) {
      (void)book_growth_locked(
          {first, span.head.granules, 1, span.word_count, end, span.head.granules});
    }
    return;
  }
  if (is_used) {
    if (orphan_bin_locked(first) != region::kLargeBin) late_orphans_.push_back(first);
    return;
  }
  // collect_large_locked() caches it, or gives it back if the daemon has taken its block.
  if (carving.kind == region::Carving::Kind::kLarge && !carving.chunked) {
    large_[first] = LargeSpan{span.head.granules, false};
    return;
  }
  keep_span_locked(first);
}

void SessionState::find_lost_heaps_locked() {
  std::set<std::uint32_t> known(late_heaps_.begin(), late_heaps_.end());
  for (const ThreadHeap* const heap : heaps_) known.insert(heap->id);
  for (std::uint32_t id = 0; id < region::kHeapLimit; ++id) {
    // Relaxed: nothing is published by it.
    if (view_.heap(id).session.load_relaxed() == id_ && !known.contains(id)) {
      late_heaps_.push_back(id);
    }
  }
}

// --- reservations and pins ---

// Any answer will do.
Expected<void> SessionState::tell_locked(const p::Body& body, CallDeadline& deadline) {
  auto answer = parts_.channel->request(body, deadline.at());
  if (answer || parts_.channel->latest_outcome() == Outcome::kAnswered) return {};
  return answer.error();
}

Expected<void> SessionState::end_lost_reservations_locked(CallDeadline& deadline) {
  for (std::uint64_t from = 0; from < view_.granules();) {
    auto answer = parts_.channel->request(p::NextReservation{from}, deadline.at());
    if (!answer) return answer.error();
    const auto* const next = std::get_if<p::Reserved>(&*answer);
    if (next == nullptr) return Error(Errc::kBadMessage, "no answer to NextReservation");
    if (next->granules == 0) break;
    if (next->first < from || next->first >= view_.granules()) {
      return Error(Errc::kBadMessage, "a reservation out of order");
    }
    const auto first = static_cast<std::uint32_t>(next->first);
    if (!reservations_.contains(first)) {
      if (auto ended = tell_locked(p::Unreserve{first}, deadline); !ended) return ended;
    }
    from = next->first + 1;
  }
  // They were among them. Another one may begin there from now on.
  late_reservations_.clear();
  return {};
}

Expected<void> SessionState::end_lost_pins_locked(CallDeadline& deadline) {
  for (std::uint64_t above = 0;;) {
    auto answer = parts_.channel->request(p::NextPin{above}, deadline.at());
    if (!answer) return answer.error();
    const auto* const next = std::get_if<p::Found>(&*answer);
    if (next == nullptr) return Error(Errc::kBadMessage, "no answer to NextPin");
    if (next->handle == 0) break;
    if (next->handle <= above) return Error(Errc::kBadMessage, "a pin out of order");
    above = next->handle;
    const auto pin = pins_.find(Handle::from_bits(above));
    if (pin != pins_.end() && !pin->second.ended) continue;
    if (auto ended = tell_locked(p::Unpin{above}, deadline); !ended) return ended;
  }
  late_pins_.clear();
  return {};
}

}  // namespace allot::detail
