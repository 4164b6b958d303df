// What `allotctl top` shows of two samples: the ladder, how low it ever was, who is busiest.
//
// Pure. A rate is of the time between the samples; without an earlier one (or if the session or the
// region is new since) of the time since the session or the region began.
#pragma once

#include <cstddef>
#include <string>

#include "tools/allotctl/drawing/top_sample.hpp"

namespace allot::ctl {

/// What happened per second.
struct TopRates {
  double grants = 0;
  double allocations = 0;
  double frees = 0;
};

/// Of `now`, a session of `region`; `before` may be nullptr.
[[nodiscard]] TopRates rates_of(const TopRegion& region, const TopSession& now,
                                const TopRegion* before);

/// `before`: the last sample, or an empty one. Of all regions together the `busiest` sessions.
[[nodiscard]] std::string top_text(const TopSample& now, const TopSample& before,
                                   std::size_t busiest);

/// `text` with each line cut to `width` columns. The text has no escape sequences.
[[nodiscard]] std::string cut_lines(const std::string& text, std::size_t width);

}  // namespace allot::ctl
