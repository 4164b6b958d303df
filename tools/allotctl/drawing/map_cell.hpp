// MapCell: what lies in a run of granules that a drawing shows as one place.
//
// Used by RegionMap. A cell is what most of its granules are; but a span is never hidden by what is
// free around it, and a violation by nothing. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "tools/allotctl/drawing/map_item.hpp"

namespace allot::ctl {

class MapCell {
 public:
  /// Adds `granules` (at least 1) of `item`, which may reach beyond the cell.
  void add(const MapItem& item, std::uint64_t granules);
  void add_violations(std::uint64_t count) noexcept { violations_ += count; }

  [[nodiscard]] bool is_empty() const noexcept { return granules_ == 0; }
  [[nodiscard]] std::uint64_t granules() const noexcept { return granules_; }
  [[nodiscard]] std::uint64_t violations() const noexcept { return violations_; }
  /// What it shows: of spans the kind with most granules, else of the rest.
  [[nodiscard]] SpanKind kind() const noexcept;
  /// Most of its granules in spans lie in orphans.
  [[nodiscard]] bool is_orphan() const noexcept;
  /// Of the sessions that have spans in it the one with most; of what is reserved if it has no
  /// span; 0: nobody.
  [[nodiscard]] std::uint32_t session() const noexcept;
  /// The commonest block size of its small and medium spans; 0 without one.
  [[nodiscard]] std::uint64_t block_bytes() const noexcept;
  /// Blocks in use over blocks, of its spans by their length, 0 to 1.
  [[nodiscard]] double occupancy() const noexcept;
  /// When its oldest span was granted; 0 if that is not known of any.
  [[nodiscard]] std::uint64_t oldest_unix_ns() const noexcept { return oldest_unix_ns_; }

 private:
  using Tally = std::map<std::uint64_t, std::uint64_t>;  // granules
  [[nodiscard]] static std::uint64_t most_of(const Tally& tally) noexcept;

  std::uint64_t granules_ = 0;
  std::array<std::uint64_t, kSpanKinds> by_kind_{};
  std::uint64_t in_spans_ = 0;
  std::uint64_t in_orphans_ = 0;
  std::uint64_t violations_ = 0;
  double full_granules_ = 0;
  std::uint64_t oldest_unix_ns_ = 0;
  Tally by_session_;
  Tally by_reserver_;
  Tally by_block_;
};

}  // namespace allot::ctl
