// The daemon's answers to `map`, page by page, and what is made of them.
//
// Used by `allotctl map`. The daemon may be of another version, or none: what is missing reads as
// nothing, a page that leads nowhere is an error.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include <boost/json/object.hpp>

#include <allot/expected.hpp>

#include "tools/allotctl/command.hpp"
#include "tools/allotctl/drawing/region_map.hpp"

namespace allot::ctl {

/// Asks for all regions, or the one that options name. `take` gets each page, those of a region
/// in a row, and says whether it wants the region's next one.
[[nodiscard]] Expected<void> ask_map_pages(
    const Options& options,
    const std::function<bool(boost::json::object& page, bool begins_region)>& take);

/// The regions as they are to be drawn, each in at most `max_cells` cells.
[[nodiscard]] Expected<std::vector<RegionMap>> gather_maps(const Options& options,
                                                           std::size_t max_cells);

/// All pages as one answer, with at most about options.limit items of a region (0: all).
[[nodiscard]] Expected<boost::json::object> gather_map_json(const Options& options);

}  // namespace allot::ctl
