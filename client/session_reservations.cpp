// Reservations: address space that is set aside for one arena, and grows span by span.
//
// All under the session's mutex but the touching of new memory. Each step of growth is a span of
// its own, granted behind the last one and carved as one large block, so that a process that dies
// at any line leaves what large blocks leave; the daemon ends the reservation with its session.

#include <algorithm>
#include <cstring>
#include <iterator>

#include "client/session_state.hpp"
#include "shared/platform/populate.hpp"
#include "shared/platform/random.hpp"

namespace allot::detail {

namespace p = protocol;
using region::kGranuleBytes;
using region::kLargeBin;

namespace {

std::uint64_t granules_for(std::size_t bytes) noexcept {
  return bytes / kGranuleBytes + (bytes % kGranuleBytes != 0 ? 1 : 0);
}

}  // namespace

std::uint32_t SessionState::granule_of(const std::byte* address) const noexcept {
  return static_cast<std::uint32_t>(static_cast<std::size_t>(address - mapping_.data()) /
                                    kGranuleBytes);
}

// That a granule lies in, or that ends at it.
Reservations::iterator SessionState::reservation_at(std::uint32_t granule) noexcept {
  const auto behind = reservations_.upper_bound(granule);
  if (behind == reservations_.begin()) return reservations_.end();
  const auto found = std::prev(behind);
  return granule < found->second.end ? found : reservations_.end();
}

Expected<SessionState::Range> SessionState::reserve(std::size_t bytes,
                                                    std::size_t minimum_bytes) noexcept {
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  book_late_answers_locked();
  const p::Reserve wanted{granules_for(bytes), granules_for(minimum_bytes)};
  auto answer = request_locked(wanted, deadline);
  if (!answer) return answer.error();
  const auto* const reserved = std::get_if<p::Reserved>(&*answer);
  if (reserved == nullptr || reserved->granules < wanted.minimum ||
      reserved->first > view_.granules() ||
      reserved->granules > view_.granules() - reserved->first) {
    return Error(Errc::kBadMessage, "the daemon reserved something else than was asked for");
  }
  const auto first = static_cast<std::uint32_t>(reserved->first);
  const auto granules = static_cast<std::uint32_t>(reserved->granules);
  reservations_[first] = Reservation{first + granules, first, {}};
  return Range{mapping_.data() + first * kGranuleBytes, granules * kGranuleBytes};
}

Errc SessionState::grow(std::byte* base, std::size_t bytes, bool populate) noexcept {
  std::vector<GrownSpan> grown;
  {
    CallDeadline deadline(parts_.deadline);
    auto lock = lock_open(deadline);
    if (!lock) return lock.error().errc();
    book_late_answers_locked();
    const std::uint32_t granule = granule_of(base);
    const auto found = reservation_at(granule);
    const std::uint64_t end = granule + granules_for(bytes);
    if (found == reservations_.end() || end > found->second.end) return Errc::kBadArgument;
    if (const Errc errc =
            grow_locked(found->second, static_cast<std::uint32_t>(end), grown, deadline);
        errc != Errc::kOk) {
      return errc;
    }
  }
  prepare_grown(grown, populate);
  return Errc::kOk;
}

Errc SessionState::grow_locked(Reservation& reservation, std::uint32_t end,
                               std::vector<GrownSpan>& grown, CallDeadline& deadline) {
  while (reservation.granted_end < end) {
    const std::uint32_t at = reservation.granted_end;
    auto granted = grant_or_trim_locked({end - at, 1, region::kWordsPerUnit, 1, at}, deadline);
    if (granted && !book_growth_locked(*granted)) return Errc::kBadMessage;
    if (granted) continue;
    // An earlier request may have been served meanwhile.
    book_late_answers_locked();
    if (reservation.granted_end == at) {
      set_last_error(granted.error());
      // These granules are ours: what has them is that earlier request, still being committed.
      return granted.error() == Errc::kNotOwner ? Errc::kDeadline : granted.error().errc();
    }
  }
  for (GrownSpan& span : reservation.spans) {
    if (span.carved) continue;
    debug_forget(span.first, span.granules);
    own_span_locked(span.first, static_cast<std::uint32_t>(platform::random_u64()));
    span.carved = true;
    grown.push_back(span);
  }
  return Errc::kOk;
}

// False if it is not the growth of a reservation.
bool SessionState::book_growth_locked(const p::Granted& granted) {
  if (granted.count != 1 || granted.first >= view_.granules()) return false;
  const auto found = reservation_at(static_cast<std::uint32_t>(granted.first));
  if (found == reservations_.end()) return false;
  Reservation& reservation = found->second;
  if (granted.first != reservation.granted_end ||
      granted.granules > reservation.end - reservation.granted_end) {
    return false;
  }
  reservation.spans.push_back(
      {reservation.granted_end, granted.granules, granted.used_granules == 0, false});
  reservation.granted_end += granted.granules;
  return true;
}

// False if it is not ours: a handle of it was given away, and adopted.
bool SessionState::disown_span_locked(std::uint32_t first) {
  auto& own = view_.word(first, 0);
  std::uint32_t word = own.load_acquire();
  if (OwnWord::owner(word) != id_) return false;
  // R8 pairs with A8 in collect_span(): our last writes happen before the block's reuse.
  if (!own.compare_exchange_acq_rel(word, OwnWord::after_free(word, OwnWord::kFree))) return false;
  count_free(kLargeBin, nullptr);
  return true;
}

// Zero where it was used before; the kernel's pages where it was not.
void SessionState::prepare_grown(const std::vector<GrownSpan>& grown, bool populate) noexcept {
  for (const GrownSpan& span : grown) {
    std::byte* const base = mapping_.data() + span.first * kGranuleBytes;
    const std::size_t bytes = span.granules * kGranuleBytes;
    if (!span.clean) {
      std::memset(base, 0, bytes);
    } else if (populate) {
      platform::populate(base, bytes);
    }
  }
}

std::size_t SessionState::shrink(std::byte* base, std::size_t bytes) noexcept {
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return 0;
  book_late_answers_locked();
  reconnect_if_lost_locked(deadline);
  const std::uint32_t keep_end = granule_of(base);
  const auto usable_end = static_cast<std::uint32_t>(keep_end + granules_for(bytes));
  const auto found = reservation_at(keep_end);
  if (found == reservations_.end()) return 0;
  Reservation& reservation = found->second;
  while (!reservation.spans.empty() && reservation.spans.back().first >= keep_end) {
    if (!drop_last_span_locked(reservation, deadline)) break;
  }
  const std::uint32_t end = std::max(reservation.granted_end, keep_end);
  return end < usable_end ? (usable_end - end) * kGranuleBytes : 0;
}

// As with large blocks the span leaves the list before the message leaves.
bool SessionState::drop_last_span_locked(Reservation& reservation, CallDeadline& deadline) {
  const GrownSpan span = reservation.spans.back();
  if (span.carved && !disown_span_locked(span.first)) return false;
  reservation.spans.pop_back();
  reservation.granted_end = span.first;
  if (!is_still_ours(return_span_locked(span.first, deadline))) return true;
  // Free is ours to leave.
  const std::uint32_t word = view_.word(span.first, 0).load_relaxed();
  if (span.carved) own_span_locked(span.first, OwnWord::generation(word));
  reservation.spans.push_back(span);
  reservation.granted_end = span.first + span.granules;
  return false;
}

void SessionState::unreserve(std::byte* base) noexcept {
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return;
  book_late_answers_locked();
  reconnect_if_lost_locked(deadline);
  const std::uint32_t first = granule_of(base);
  const auto found = reservations_.find(first);
  if (found == reservations_.end()) return;
  Reservation& reservation = found->second;
  while (!reservation.spans.empty()) {
    if (drop_last_span_locked(reservation, deadline)) continue;
    // Somebody else's now, or not to be returned now: a large block like any other.
    const GrownSpan span = reservation.spans.back();
    reservation.spans.pop_back();
    if (!span.carved) own_span_locked(span.first, 0);
    large_[span.first] = LargeSpan{span.granules, false};
    if (disown_span_locked(span.first)) cache_large_locked(span.first);
  }
  reservations_.erase(found);
  if (request_locked(p::Unreserve{first}, deadline)) return;
  if (latest_outcome_ == Outcome::kNotSent) late_reservations_.push_back(first);
}

}  // namespace allot::detail
