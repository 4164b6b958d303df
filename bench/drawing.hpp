// Drawings: the measurements of one family as horizontal bars, in SVG.
#pragma once

#include <ostream>
#include <string_view>
#include <vector>

#include "bench/measurement.hpp"

namespace allot::bench {

/// One group of bars for each measurement of `family`: ours, its peers and what is beside it, each
/// on the group's own scale. A bar that is far longer than ours and the best peer's is cut off, and
/// says so. Nothing else is in the picture, so it looks alike on a light and on a dark page.
void write_svg(std::ostream& out, std::string_view family,
               const std::vector<Measurement>& measurements);

}  // namespace allot::bench
