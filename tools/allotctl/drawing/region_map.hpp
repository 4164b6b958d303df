// RegionMap: a region as it is to be drawn, gathered item by item, in bounded memory.
//
// Used by `allotctl map`: filled page by page, then drawn as text or SVG. However many spans there
// are, it keeps at most so many cells, items and violations. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tools/allotctl/drawing/map_cell.hpp"
#include "tools/allotctl/drawing/map_item.hpp"

namespace allot::ctl {

class RegionMap {
 public:
  struct Head {
    std::string name;
    std::uint64_t granules = 0;
    std::uint64_t granule_bytes = 0;
    std::uint64_t used_granules = 0;  // all behind is free
    std::uint64_t now_unix_ns = 0;    // ages count back from here
  };
  struct Sums {
    std::uint64_t spans = 0;
    std::uint64_t granted_bytes = 0;
    std::uint64_t live_bytes = 0;
    std::uint64_t live_blocks = 0;
    std::uint64_t orphans = 0;
    std::uint64_t unknown_ages = 0;
  };

  static constexpr std::uint64_t kMostGranules = std::uint64_t{1} << 40;
  static constexpr std::size_t kMostItems = 20'000;
  static constexpr std::size_t kMostViolations = 256;
  static constexpr std::size_t kMostOwners = 4096;

  /// At most `max_cells` (at least 1) cells, each of a power of two of granules.
  RegionMap(Head head, std::size_t max_cells);

  void add(const MapItem& item);
  /// Adds to what is known of the session.
  void add(const MapOwner& owner);
  void add(const MapViolation& violation);
  void add_violations(std::uint64_t count) noexcept { violation_count_ += count; }

  [[nodiscard]] const Head& head() const noexcept { return head_; }
  [[nodiscard]] const Sums& sums() const noexcept { return sums_; }
  /// Of the used granules.
  [[nodiscard]] const std::vector<MapCell>& cells() const noexcept { return cells_; }
  [[nodiscard]] std::uint64_t granules_per_cell() const noexcept { return granules_per_cell_; }
  /// All items of the used granules, or the first kMostItems if has_all_items() is false.
  [[nodiscard]] const std::vector<MapItem>& items() const noexcept { return items_; }
  [[nodiscard]] bool has_all_items() const noexcept { return has_all_items_; }
  /// By session.
  [[nodiscard]] const std::map<std::uint32_t, MapOwner>& owners() const noexcept { return owners_; }
  /// The place of a session among the owners, for its letter and its colour; their number for one
  /// that is not there.
  [[nodiscard]] std::size_t place_of(std::uint32_t session) const noexcept;
  [[nodiscard]] const std::vector<MapViolation>& violations() const noexcept { return violations_; }
  [[nodiscard]] std::uint64_t violation_count() const noexcept { return violation_count_; }

 private:
  Head head_;
  Sums sums_;
  std::uint64_t granules_per_cell_ = 1;
  std::vector<MapCell> cells_;
  std::vector<MapItem> items_;
  bool has_all_items_ = true;
  std::map<std::uint32_t, MapOwner> owners_;
  std::vector<MapViolation> violations_;
  std::uint64_t violation_count_ = 0;
};

}  // namespace allot::ctl
