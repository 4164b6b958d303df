// MapSink: what a walk over spans meets beside their sums: owners of blocks, and violations.
//
// Used by the control socket's map. Owners are counted span by span: what was counted of a span
// that changed meanwhile is thrown away with it. Violations are those of own words, carve words and
// descriptors; sums that differ are the business of check. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "daemon/core/region_core.hpp"
#include "shared/region/span_count.hpp"

namespace allot::daemon {

class MapSink final : public region::SpanSink {
 public:
  using Owners = std::map<std::uint32_t, region::OwnerSums>;  // by session
  using Limit = std::function<std::uint64_t()>;

  /// `limit_granules` says what may be touched now.
  MapSink(const core::RegionCore& region, Limit limit_granules)
      : region_(&region), limit_granules_(std::move(limit_granules)) {}

  /// Others have had their turn: names may have come and gone.
  void begin_slice() noexcept { names_are_fresh_ = false; }

  struct OfSpan {
    Owners owners;  // empty if they do not add up to the span's live blocks: it was in motion
    std::uint64_t violations = 0;
  };
  /// What was met since the last call, which belongs to `span`.
  [[nodiscard]] OfSpan take_span(const region::SpanSums& span);

  /// At most region::kMaxViolations of violation_count().
  [[nodiscard]] const std::vector<region::Violation>& violations() const noexcept {
    return violations_;
  }
  [[nodiscard]] std::uint64_t violation_count() const noexcept { return violation_count_; }

  void on_violation(const region::Violation& violation) override;
  void on_owned(std::uint32_t session, const region::OwnerSums& blocks) override;
  bool on_kept(std::uint64_t offset_bytes, std::uint32_t word, std::uint64_t block_bytes) override;
  bool is_present(std::uint32_t session) override;
  std::uint64_t present_limit_granules() override { return limit_granules_(); }

 private:
  void refresh_names();

  const core::RegionCore* region_;
  Limit limit_granules_;
  Owners owners_;                     // since the last take_span()
  std::vector<std::uint64_t> named_;  // handles that a name holds, sorted
  bool names_are_fresh_ = false;      // read in this slice: nothing can have changed
  std::vector<region::Violation> violations_;
  std::uint64_t violation_count_ = 0;
  std::map<std::uint64_t, std::uint64_t> by_granule_;  // violations since the last take_span()
};

}  // namespace allot::daemon
