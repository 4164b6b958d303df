// Regions drawn as one SVG document that needs nothing beside itself.
//
// Used by `allotctl map --svg`. Each span is a box in the colour of its owner, filled as high as
// its blocks are in use, with a strip that darkens with its age; a tooltip says the rest. Reserved
// holes are dotted, orphans hatched, and where a word cannot be, the box is red. Legend, owners and
// violations stand below. Pure; the text is well-formed XML whatever the labels hold.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tools/allotctl/drawing/region_map.hpp"

namespace allot::ctl {

/// Where a region has more spans than are drawn one by one, it is drawn in so many cells at most.
inline constexpr std::size_t kMaxSvgCells = 4096;

[[nodiscard]] std::string map_svg(const std::vector<RegionMap>& maps);

}  // namespace allot::ctl
