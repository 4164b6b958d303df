#include "daemon/map_sink.hpp"

#include <algorithm>
#include <utility>

namespace allot::daemon {

MapSink::OfSpan MapSink::take_span(const region::SpanSums& span) {
  OfSpan out;
  std::uint64_t blocks = span.kept_blocks;
  for (const auto& [session, sums] : owners_) blocks += sums.blocks;
  if (blocks == span.space.live_blocks) out.owners = std::move(owners_);
  owners_.clear();
  const std::uint64_t end = std::uint64_t{span.span.first} + span.span.head.granules;
  for (const auto& [granule, count] : by_granule_) {
    if (granule >= span.span.first && granule < end) out.violations += count;
  }
  by_granule_.clear();
  return out;
}

void MapSink::on_violation(const region::Violation& violation) {
  ++violation_count_;
  if (violations_.size() < region::kMaxViolations) violations_.push_back(violation);
  ++by_granule_[violation.granule];
  // The walk goes up: the lowest is the one that the next span needs least.
  if (by_granule_.size() > region::kMaxViolations) by_granule_.erase(by_granule_.begin());
}

void MapSink::on_owned(std::uint32_t session, const region::OwnerSums& blocks) {
  owners_[session] += blocks;
}

bool MapSink::on_kept(std::uint64_t offset_bytes, std::uint32_t word,
                      std::uint64_t /*block_bytes*/) {
  if (!names_are_fresh_) refresh_names();
  const std::uint64_t bits =
      Handle::make(region_->tag(), offset_bytes, detail::OwnWord::generation(word)).bits();
  return std::binary_search(named_.begin(), named_.end(), bits);
}

bool MapSink::is_present(std::uint32_t session) { return region_->session(session) != nullptr; }

void MapSink::refresh_names() {
  named_.clear();
  for (const auto& [name, record] : region_->names()) named_.push_back(record.handle.bits());
  for (const auto& record : region_->hidden_names()) named_.push_back(record.handle.bits());
  std::sort(named_.begin(), named_.end());
  names_are_fresh_ = true;
}

}  // namespace allot::daemon
