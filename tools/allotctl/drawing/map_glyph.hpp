// The one character that stands for a cell of a map, and what each character means.
//
// Used by map_text.cpp. A map shows one property at a time (MapView); what is no span, an orphan
// and a violation look the same in every view. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tools/allotctl/drawing/region_map.hpp"

namespace allot::ctl {

enum class MapView : std::uint8_t { kOccupancy, kKind, kClass, kOwner, kAge };

class MapGlyphs {
 public:
  MapGlyphs(const RegionMap& map, MapView view);

  [[nodiscard]] char of(const MapCell& cell) const;
  /// The letter of the owner at `place` of the map's owners.
  [[nodiscard]] static char of_owner(std::size_t place) noexcept;
  /// What the characters of all cells mean, in one line: only those that occur.
  [[nodiscard]] std::string legend() const;

 private:
  [[nodiscard]] char of_span(const MapCell& cell) const;

  const RegionMap* map_;
  MapView view_;
  std::map<std::uint64_t, char> classes_;  // by block size
};

}  // namespace allot::ctl
