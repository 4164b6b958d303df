#include "tools/allotctl/drawing/map_cell.hpp"

#include <algorithm>

namespace allot::ctl {

void MapCell::add(const MapItem& item, std::uint64_t granules) {
  granules_ += granules;
  by_kind_.at(static_cast<std::size_t>(item.kind)) += granules;
  if (item.kind == SpanKind::kReserved) by_reserver_[item.session] += granules;
  if (!is_span(item.kind)) return;
  in_spans_ += granules;
  if (item.orphan) {
    in_orphans_ += granules;
  } else {
    by_session_[item.session] += granules;
  }
  const bool has_class = item.kind == SpanKind::kSmall || item.kind == SpanKind::kMedium;
  if (has_class && item.block_bytes != 0) by_block_[item.block_bytes] += granules;
  full_granules_ += item.occupancy() * static_cast<double>(granules);
  if (item.granted_unix_ns != 0 &&
      (oldest_unix_ns_ == 0 || item.granted_unix_ns < oldest_unix_ns_)) {
    oldest_unix_ns_ = item.granted_unix_ns;
  }
}

SpanKind MapCell::kind() const noexcept {
  constexpr auto kFirstSpan = static_cast<std::ptrdiff_t>(SpanKind::kMoving) + 1;
  const auto begin = by_kind_.begin() + (in_spans_ > 0 ? kFirstSpan : 0);
  const auto end = in_spans_ > 0 ? by_kind_.end() : by_kind_.begin() + kFirstSpan;
  return static_cast<SpanKind>(std::max_element(begin, end) - by_kind_.begin());
}

bool MapCell::is_orphan() const noexcept { return in_orphans_ > 0 && in_orphans_ * 2 >= in_spans_; }

std::uint32_t MapCell::session() const noexcept {
  return static_cast<std::uint32_t>(most_of(in_spans_ > 0 ? by_session_ : by_reserver_));
}

std::uint64_t MapCell::block_bytes() const noexcept { return most_of(by_block_); }

double MapCell::occupancy() const noexcept {
  return in_spans_ > 0 ? std::min(full_granules_ / static_cast<double>(in_spans_), 1.0) : 0.0;
}

std::uint64_t MapCell::most_of(const Tally& tally) noexcept {
  const auto most = std::max_element(
      tally.begin(), tally.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == tally.end() ? 0 : most->first;
}

}  // namespace allot::ctl
