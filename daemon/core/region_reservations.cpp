// Reservations: address space that only one session is granted from.
//
// A reservation is a range of granules; of those, the ones that are not granted lie in reserved
// extents of the map, the others in its session's spans (after that session's death also in
// orphans, until the recovery ends). A span inside comes back to it. Nothing of it is committed,
// shared or charged but its length.

#include <algorithm>
#include <cassert>
#include <iterator>

#include "daemon/core/limit_error.hpp"
#include "daemon/core/region_core.hpp"

namespace allot::core {

using region::kGranuleBytes;

namespace {

Error region_full(std::uint64_t wanted_granules, const ExtentMap& extents) {
  return {Errc::kRegionFull, std::to_string(wanted_granules) + " granules wanted, " +
                                 std::to_string(extents.free_granules()) +
                                 " free, longest free run " +
                                 std::to_string(extents.largest_free())};
}

}  // namespace

Expected<void> RegionCore::check_reservation(std::uint32_t session, const SessionRecord& record,
                                             std::uint64_t granules) {
  const std::uint64_t wanted = granules * kGranuleBytes;
  Error refusal;
  const auto over = [&](const std::string& who, std::uint64_t used, std::uint64_t limit,
                        const char* name) {
    if (used <= limit && wanted <= limit - used) return false;
    refusal = limit_error(Errc::kReserveLimit, who, wanted, used, limit, name);
    return true;
  };
  const uid_t uid = record.peer.uid;
  if (over("session " + std::to_string(session) + ' ', record.reservation_bytes,
           limits_.session_reserve_bytes, "session_reserve_bytes") ||
      over("uid " + std::to_string(uid) + ' ', uid_reservation_bytes(uid),
           limits_.uid_reserve_bytes, "uid_reserve_bytes") ||
      over({}, totals_.reservation_bytes, limits_.reserve_limit_bytes, "reserve_limit_bytes")) {
    return refusal;
  }
  if (granules > extents_.largest_free()) return region_full(granules, extents_);
  return {};
}

Expected<protocol::Reserved> RegionCore::reserve(std::uint32_t session,
                                                 const protocol::Reserve& request) {
  auto found = live_session(session);
  if (!found) return found.error();
  SessionRecord& record = **found;
  Expected<void> allowed;
  std::uint64_t granules = request.granules;
  if (request.granules == 0 || request.minimum == 0) {
    allowed = Error(Errc::kSizeZero);
  } else if (request.minimum > request.granules) {
    allowed = Error(Errc::kBadArgument, "a minimum above what is wanted");
  } else if (request.minimum > view_.granules()) {
    allowed =
        Error(Errc::kSizeTooLarge, std::to_string(request.minimum) + " granules in a region of " +
                                       std::to_string(view_.granules()));
  } else if (record.reservations.size() >= kMaxReservationsPerSession) {
    allowed = Error(Errc::kReserveLimit,
                    std::to_string(kMaxReservationsPerSession) + " reservations of one session");
  } else {
    granules = std::min(granules, view_.granules());
    allowed = check_reservation(session, record, granules);
    const bool is_whole = allowed && granules == request.granules;
    while (!allowed && granules > request.minimum) {
      granules = std::max(granules / 2, request.minimum);
      allowed = check_reservation(session, record, granules);
    }
    // Not all that is left: who asked for more than there is is content with less.
    if (allowed && !is_whole) granules = std::max(granules / 2, request.minimum);
  }
  if (!allowed) {
    ++totals_.refusals;
    return allowed.error();
  }
  const auto length = static_cast<std::uint32_t>(granules);
  const auto first = extents_.reserve(length);
  assert(first.has_value());
  reservations_[*first] = {*first + length, session};
  std::uint64_t& end = vault_.header().reservations_end;
  end = std::max<std::uint64_t>(end, *first + granules);
  then();
  vault_.reservation(*first) = VaultReservation::make(*first + length, session);
  record.reservations.insert(*first);
  const std::uint64_t bytes = granules * kGranuleBytes;
  record.reservation_bytes += bytes;
  uid_reserved_[record.peer.uid] += bytes;
  totals_.reservation_bytes += bytes;
  return protocol::Reserved{*first, granules};
}

Expected<void> RegionCore::unreserve(std::uint32_t session, std::uint64_t first) {
  auto record = live_session(session);
  if (!record) return record.error();
  if (first >= view_.granules() ||
      !(*record)->reservations.contains(static_cast<std::uint32_t>(first))) {
    return Error(Errc::kNotOwner,
                 "no reservation of this session begins at granule " + std::to_string(first));
  }
  end_reservation(static_cast<std::uint32_t>(first));
  return {};
}

Expected<protocol::Reserved> RegionCore::next_reservation(std::uint32_t session,
                                                          std::uint64_t from) {
  auto record = live_session(session);
  if (!record) return record.error();
  if (from >= view_.granules()) return protocol::Reserved{};
  const auto next = (*record)->reservations.lower_bound(static_cast<std::uint32_t>(from));
  if (next == (*record)->reservations.end()) return protocol::Reserved{};
  return protocol::Reserved{*next, reservations_.at(*next).end - *next};
}

void RegionCore::end_reservation(std::uint32_t first) {
  const auto found = reservations_.find(first);
  const Reservation ended = found->second;
  reservations_.erase(found);
  vault_.reservation(first) = {};
  for (std::uint32_t at = first; at < ended.end;) {
    const Extent* const extent = extents_.at_or_after(at);
    const std::uint32_t run = extent->first();
    at = extent->end();
    if (extent->is_reserved()) extents_.release(run);
  }
  const std::uint64_t bytes = (ended.end - first) * kGranuleBytes;
  SessionRecord& record = sessions_.at(ended.session);
  record.reservations.erase(first);
  record.reservation_bytes -= bytes;
  totals_.reservation_bytes -= bytes;
  std::uint64_t& of_uid = uid_reserved_[record.peer.uid];
  of_uid -= bytes;
  if (of_uid == 0) uid_reserved_.erase(record.peer.uid);
}

// Anywhere, or where the session's reservation goes on.
Expected<std::uint32_t> RegionCore::place_spans(std::uint32_t session,
                                                const protocol::GrantRequest& request) {
  const std::uint64_t total = std::uint64_t{request.granules} * request.count;
  if (request.at == protocol::kAnywhere) {
    if (const auto first =
            extents_.allocate(request.granules, request.count, request.align_granules)) {
      return *first;
    }
    return region_full(total, extents_);
  }
  const auto at = static_cast<std::uint32_t>(request.at);
  const Extent* const run = request.at < view_.granules() ? extents_.find_reserved(at) : nullptr;
  if (run == nullptr || reservation_at(at)->second.session != session) {
    return Error(Errc::kNotOwner,
                 "no reservation of this session goes on at granule " + std::to_string(request.at));
  }
  if (at % request.align_granules != 0) {
    return Error(Errc::kBadAlignment, std::to_string(at) + " is no multiple of " +
                                          std::to_string(request.align_granules) + " granules");
  }
  if (total > run->granules()) {
    return Error(Errc::kSizeTooLarge, std::to_string(total) +
                                          " granules wanted, the reservation has " +
                                          std::to_string(run->granules()) + " left there");
  }
  extents_.cut(at, request.granules, request.count);
  return at;
}

RegionCore::Reservations::const_iterator RegionCore::reservation_at(
    std::uint32_t granule) const noexcept {
  const auto behind = reservations_.upper_bound(granule);
  if (behind == reservations_.begin()) return reservations_.end();
  const auto found = std::prev(behind);
  return granule < found->second.end ? found : reservations_.end();
}

std::uint32_t RegionCore::reserved_for(std::uint32_t granule) const noexcept {
  const auto found = reservation_at(granule);
  return found == reservations_.end() ? 0 : found->second.session;
}

std::uint32_t RegionCore::reservation_granules(std::uint32_t first) const noexcept {
  const auto found = reservations_.find(first);
  return found == reservations_.end() ? 0 : found->second.end - first;
}

void RegionCore::release_span(std::uint32_t first) {
  const auto reservation = reservation_at(first);
  if (reservation == reservations_.end()) {
    extents_.release(first);
  } else {
    extents_.give_back(first, reservation->first, reservation->second.end);
  }
}

std::uint64_t RegionCore::uid_reservation_bytes(uid_t uid) const noexcept {
  const auto found = uid_reserved_.find(uid);
  return found == uid_reserved_.end() ? 0 : found->second;
}

}  // namespace allot::core
