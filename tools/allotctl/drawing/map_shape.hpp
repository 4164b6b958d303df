// MapShape: one box of a drawing with all that its tooltip says, made of an item or of a cell.
//
// Used by map_svg.cpp. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/allotctl/drawing/region_map.hpp"

namespace allot::ctl {

struct MapShape {
  std::uint64_t first = 0;
  std::uint64_t granules = 0;
  SpanKind kind = SpanKind::kFree;
  bool orphan = false;
  std::uint32_t session = 0;
  std::uint64_t block_bytes = 0;
  double occupancy = 0;
  std::uint64_t granted_unix_ns = 0;
  std::uint64_t violations = 0;
  std::string title;  // lines; not escaped
};

/// The boxes of `map`, each item one; each cell if there are too many items.
[[nodiscard]] std::vector<MapShape> shapes_of(const RegionMap& map);

/// "session 17.3, worker, pid 12, uid 1000" of one that is there; "session 17" of one that is not.
[[nodiscard]] std::string owner_text(const RegionMap& map, std::uint32_t session);

}  // namespace allot::ctl
