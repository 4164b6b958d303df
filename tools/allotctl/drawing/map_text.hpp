// A region drawn in characters, for a terminal or a file.
//
// Used by `allotctl map`. A line is a power of two of granules and begins with the first of them;
// in colour, each owner has one. Below: what the characters mean, the owners, the violations. Pure.
#pragma once

#include <cstddef>
#include <string>

#include "tools/allotctl/drawing/map_glyph.hpp"
#include "tools/allotctl/drawing/region_map.hpp"

namespace allot::ctl {

struct MapTextStyle {
  std::size_t width = 80;  // columns of the terminal
  bool color = false;
  MapView view = MapView::kOccupancy;
};

inline constexpr std::size_t kMinMapWidth = 24;
inline constexpr std::size_t kMaxMapWidth = 1000;

/// How many cells a map of this width has at most.
[[nodiscard]] std::size_t map_text_cells(std::size_t width) noexcept;

/// Lines, each with its end.
[[nodiscard]] std::string map_text(const RegionMap& map, const MapTextStyle& style);

}  // namespace allot::ctl
