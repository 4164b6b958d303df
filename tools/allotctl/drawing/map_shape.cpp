#include "tools/allotctl/drawing/map_shape.hpp"

#include <algorithm>
#include <cmath>

#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace {

std::string place_text(const RegionMap& map, const MapShape& shape) {
  const std::string bytes = " (" + bytes_text(shape.granules * map.head().granule_bytes) + ")";
  if (shape.granules == 1) return "granule " + std::to_string(shape.first) + bytes;
  return "granules " + std::to_string(shape.first) + " to " +
         std::to_string(shape.first + shape.granules - 1) + bytes;
}

std::string age_line(const RegionMap& map, const MapShape& shape) {
  if (shape.granted_unix_ns == 0) return "\nage unknown";
  return "\ngranted " + span_of_time_text(shape.granted_unix_ns, map.head().now_unix_ns) + " ago";
}

std::string percent(double part) { return std::to_string(std::lround(part * 100)) + " %"; }

std::string kind_text(const MapShape& shape) {
  std::string out(kSpanKindNames.at(static_cast<std::size_t>(shape.kind)));
  if (shape.orphan) out = "orphan, " + out;
  if (shape.block_bytes != 0) out += ", blocks of " + bytes_text(shape.block_bytes);
  return out;
}

// What an item's and a cell's tooltip have in common; `fill` says how much is in use.
std::string title_of(const RegionMap& map, const MapShape& shape, const std::string& fill) {
  std::string out = place_text(map, shape) + "\n" + kind_text(shape);
  if (shape.session != 0) out += "\n" + owner_text(map, shape.session);
  if (is_span(shape.kind)) out += "\n" + fill + age_line(map, shape);
  if (shape.violations > 0) out += "\n" + count_text(shape.violations, "violation");
  return out;
}

MapShape shape_of(const RegionMap& map, const MapItem& item) {
  MapShape out{item.first,       item.granules,
               item.kind,        item.orphan,
               item.session,     item.block_bytes,
               item.occupancy(), item.granted_unix_ns,
               item.violations,  {}};
  out.title = title_of(map, out,
                       std::to_string(item.live_blocks) + " of " +
                           count_text(item.blocks, "block") + " in use, " + percent(out.occupancy));
  for (const auto& [session, blocks] : item.owners) {
    out.title += "\n" + count_text(blocks, "block") + " of " + owner_text(map, session);
  }
  return out;
}

MapShape shape_of(const RegionMap& map, const MapCell& cell, std::uint64_t first) {
  MapShape out{first,
               cell.granules(),
               cell.kind(),
               cell.is_orphan(),
               cell.session(),
               cell.block_bytes(),
               cell.occupancy(),
               cell.oldest_unix_ns(),
               cell.violations(),
               {}};
  out.title = title_of(map, out, percent(out.occupancy) + " in use, of many spans");
  return out;
}

}  // namespace

std::string owner_text(const RegionMap& map, std::uint32_t session) {
  const auto found = map.owners().find(session);
  if (found == map.owners().end()) return "session " + std::to_string(session);
  const MapOwner& owner = found->second;
  if (owner.state == kGone) return "session " + std::to_string(session) + ", gone";
  return "session " + std::to_string(session) + "." + std::to_string(owner.incarnation) + ", " +
         (owner.label.empty() ? "" : owner.label + ", ") + "pid " + std::to_string(owner.pid) +
         ", uid " + std::to_string(owner.uid) + (owner.state == "live" ? "" : ", " + owner.state);
}

std::vector<MapShape> shapes_of(const RegionMap& map) {
  std::vector<MapShape> out;
  if (!map.has_all_items()) {
    std::uint64_t first = 0;
    for (const MapCell& cell : map.cells()) {
      if (!cell.is_empty()) out.push_back(shape_of(map, cell, first));
      first += map.granules_per_cell();
    }
    return out;
  }
  for (const MapItem& item : map.items()) out.push_back(shape_of(map, item));
  // A violation where no span is: the box that it lies in.
  for (const MapViolation& violation : map.violations()) {
    const auto box = std::find_if(out.begin(), out.end(), [&](const MapShape& one) {
      return violation.granule >= one.first && violation.granule < one.first + one.granules;
    });
    if (box == out.end() || box->violations > 0) continue;
    box->violations = 1;
    box->title += "\n" + count_text(1, "violation");
  }
  return out;
}

}  // namespace allot::ctl
