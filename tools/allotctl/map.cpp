// allotctl map: a region drawn, from its own words: in characters, or as SVG.

#include <iostream>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/drawing/map_svg.hpp"
#include "tools/allotctl/drawing/map_text.hpp"
#include "tools/allotctl/map_pages.hpp"
#include "tools/allotctl/whole_file.hpp"

namespace allot::ctl {

namespace {

Exit write_svg(const Options& options) {
  const auto maps = gather_maps(options, kMaxSvgCells);
  if (!maps) return fail(maps.error());
  const std::string text = map_svg(*maps);
  if (options.map.svg == "-") {
    std::cout << text;
    return Exit::kOk;
  }
  if (auto written = write_whole(options.map.svg, text); !written) return fail(written.error());
  std::cout << "wrote " << options.map.svg << '\n';
  return Exit::kOk;
}

Exit print_text(const Options& options) {
  MapTextStyle style;
  style.width = options.map.width == 0 ? output_width() : options.map.width;
  style.color = wants_color(options.map.color);
  style.view = options.map.view;
  const auto maps = gather_maps(options, map_text_cells(style.width));
  if (!maps) return fail(maps.error());
  bool any = false;
  for (const RegionMap& map : *maps) {
    if (any) std::cout << '\n';
    any = true;
    std::cout << map_text(map, style);
  }
  return Exit::kOk;
}

}  // namespace

Exit run_map(const Options& options) {
  if (!options.map.svg.empty()) return write_svg(options);
  if (!options.json) return print_text(options);
  const auto answer = gather_map_json(options);
  if (!answer) return fail(answer.error());
  print_json(*answer);
  return Exit::kOk;
}

}  // namespace allot::ctl
