#include "tools/allotctl/drawing/map_text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>
#include <utility>

#include "tools/allotctl/drawing/plain_text.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace {

constexpr std::size_t kMostRows = 24;
constexpr std::size_t kLabelColumns = 10;
constexpr std::string_view kPlain = "\x1b[0m";
constexpr std::string_view kAlarm = "\x1b[1;97;41m";  // white on red
constexpr std::string_view kDim = "\x1b[2m";
// Readable on black and on white; red is for what is wrong.
constexpr std::array<std::string_view, 8> kColors = {
    "\x1b[32m",       "\x1b[34m",       "\x1b[35m",       "\x1b[36m",
    "\x1b[38;5;172m", "\x1b[38;5;133m", "\x1b[38;5;101m", "\x1b[38;5;66m"};

std::size_t columns_of(std::size_t width) noexcept {
  const std::size_t wanted = std::clamp(width, kMinMapWidth, kMaxMapWidth) - kLabelColumns;
  return std::bit_floor(wanted);
}

std::string_view color_of(const RegionMap& map, const MapCell& cell) {
  if (cell.violations() > 0) return kAlarm;
  const std::size_t place = map.place_of(cell.session());
  if (cell.session() == 0 || place == map.owners().size()) return kDim;
  return kColors.at(place % kColors.size());
}

std::string title(const RegionMap& map) {
  const RegionMap::Head& head = map.head();
  const RegionMap::Sums& sums = map.sums();
  return "region " + plain_text(head.name) + ": " + bytes_text(head.granules * head.granule_bytes) +
         " reserved, " + bytes_text(sums.granted_bytes) + " granted in " +
         count_text(sums.spans, "span") + ", " + bytes_text(sums.live_bytes) + " live in " +
         count_text(sums.live_blocks, "block") + '\n';
}

std::string rows(const RegionMap& map, const MapTextStyle& style, const MapGlyphs& glyphs) {
  const std::size_t columns = columns_of(style.width);
  const auto& cells = map.cells();
  std::string out;
  for (std::size_t row = 0; row < cells.size(); row += columns) {
    const std::string label = std::to_string(row * map.granules_per_cell());
    out +=
        std::string(kLabelColumns - std::min(label.size() + 1, kLabelColumns), ' ') + label + ' ';
    std::string_view color;
    for (std::size_t i = row; i < std::min(row + columns, cells.size()); ++i) {
      const std::string_view wanted = style.color ? color_of(map, cells[i]) : std::string_view();
      if (wanted != color) {
        if (!color.empty()) out += kPlain;
        out += wanted;
        color = wanted;
      }
      out += glyphs.of(cells[i]);
    }
    if (!color.empty()) out += kPlain;
    out += '\n';
  }
  return out;
}

std::string scale(const RegionMap& map) {
  const RegionMap::Head& head = map.head();
  const std::uint64_t per_cell = map.granules_per_cell();
  std::string out = "one character: " + count_text(per_cell, "granule") + " (" +
                    bytes_text(per_cell * head.granule_bytes) + ")";
  if (head.used_granules < head.granules) {
    out += "; free from granule " + std::to_string(head.used_granules) +
           " on: " + bytes_text((head.granules - head.used_granules) * head.granule_bytes);
  }
  return out + '\n';
}

// Cut at the commas, so that no line is longer than it must be.
std::string wrapped(const std::string& list, std::size_t width) {
  std::string out;
  std::size_t column = 0;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t comma = list.find(", ", begin);
    const std::size_t end = comma == std::string::npos ? list.size() : comma + 2;
    if (column > 0 && column + end - begin > width) {
      out.back() = '\n';  // the blank behind the comma
      column = 0;
    }
    out += list.substr(begin, end - begin);
    column += end - begin;
    begin = end;
  }
  return out.empty() ? out : out + '\n';
}

std::string owners_table(const RegionMap& map, bool color) {
  if (map.owners().empty()) return {};
  Table table({{"OWNER", Table::Align::kLeft},
               {"SESSION"},
               {"STATE", Table::Align::kLeft},
               {"LABEL", Table::Align::kLeft},
               {"PID"},
               {"UID"},
               {"SPANS"},
               {"GRANTED"},
               {"LIVE"},
               {"BLOCKS"}});
  std::size_t place = 0;
  for (const auto& [session, owner] : map.owners()) {
    const auto known = [&owner = owner](std::string text) {
      return owner.state == kGone ? std::string("-") : std::move(text);
    };
    table.add({std::string(1, MapGlyphs::of_owner(place++)),
               std::to_string(session) + "." + known(std::to_string(owner.incarnation)),
               plain_text(owner.state), plain_text(owner.label), known(std::to_string(owner.pid)),
               known(std::to_string(owner.uid)), std::to_string(owner.spans),
               bytes_text(owner.span_bytes), bytes_text(owner.live_bytes),
               std::to_string(owner.live_blocks)});
  }
  std::string text = table.text();
  if (!color) return text;
  // The heading stays as it is; each line after it begins with its owner's letter.
  std::string out;
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < text.size(); ++line) {
    const std::size_t end = text.find('\n', begin) + 1;
    const bool is_owner = line > 0;
    if (is_owner) out += kColors.at((line - 1) % kColors.size());
    out += text[begin];
    if (is_owner) out += kPlain;
    out += text.substr(begin + 1, end - begin - 1);
    begin = end;
  }
  return out;
}

std::string violations_list(const RegionMap& map, bool color) {
  if (map.violation_count() == 0) return {};
  std::string out = color ? std::string(kAlarm) : std::string();
  out += "! " + count_text(map.violation_count(), "violation");
  if (color) out += kPlain;
  out += '\n';
  for (const MapViolation& one : map.violations()) out += "  " + plain_text(one.text) + '\n';
  if (map.violations().size() < map.violation_count()) {
    out += "  and " + std::to_string(map.violation_count() - map.violations().size()) + " more\n";
  }
  return out;
}

}  // namespace

std::size_t map_text_cells(std::size_t width) noexcept { return columns_of(width) * kMostRows; }

std::string map_text(const RegionMap& map, const MapTextStyle& style) {
  const MapGlyphs glyphs(map, style.view);
  std::string out = title(map) + rows(map, style, glyphs) + scale(map);
  out += wrapped(glyphs.legend(), std::clamp(style.width, kMinMapWidth, kMaxMapWidth));
  if (map.sums().orphans > 0) {
    out += count_text(map.sums().orphans, "orphan") + ": their sessions are gone\n";
  }
  return out + owners_table(map, style.color) + violations_list(map, style.color);
}

}  // namespace allot::ctl
