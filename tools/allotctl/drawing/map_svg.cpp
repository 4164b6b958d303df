#include "tools/allotctl/drawing/map_svg.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "tools/allotctl/drawing/map_shape.hpp"
#include "tools/allotctl/drawing/plain_text.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace {

// Pixels.
constexpr double kMargin = 16;
constexpr double kLabelWidth = 80;
constexpr double kMapWidth = 1024;
constexpr double kRowHeight = 22;
constexpr double kRowPitch = 26;
constexpr double kLine = 18;
constexpr double kAgeHeight = 3;
constexpr double kMinTextWidth = 14;
constexpr double kPixelsPerLetter = 7;

constexpr std::uint64_t kLeastGranulesPerRow = 64;
constexpr std::uint64_t kMostRows = 48;
constexpr std::size_t kMostOwnerLines = 64;

constexpr std::array<std::string_view, 12> kColors = {"#4477aa", "#228833", "#ccbb44", "#66ccee",
                                                      "#aa3377", "#997700", "#44aa99", "#882255",
                                                      "#117733", "#6699cc", "#aa4499", "#999933"};
constexpr std::string_view kNobody = "#888888";

constexpr std::string_view kStyle = R"(<style>
text { font: 12px monospace; fill: #222 }
.title { font: bold 14px monospace }
.free { fill: #f4f4f4 }
.reserved { fill: #fff; stroke: #888; stroke-dasharray: 1 3 }
.moving { fill: #eee; stroke: #888; stroke-dasharray: 4 2 }
.back { fill-opacity: 0.25 }
.uncarved { stroke: #888; stroke-dasharray: 4 2 }
.wrong { fill: none; stroke: #d00; stroke-width: 3 }
.alarm { fill: #d00; font-weight: bold }
.tag { font-size: 10px; pointer-events: none }
</style>
<defs><pattern id="orphan" width="6" height="6" patternUnits="userSpaceOnUse">
<path d="M0 6 L6 0" stroke="#444" stroke-width="1"/></pattern></defs>
)";

// A number as SVG wants it, whatever the locale: two decimals at most.
std::string px(double value) {
  const auto hundredths = std::llround(value * 100);
  std::string out = std::to_string(hundredths / 100);
  if (const auto rest = std::abs(hundredths % 100); rest != 0) {
    out += (rest < 10 ? ".0" : ".") + std::to_string(rest);
  }
  return out;
}

struct Box {
  double x;
  double y;
  double width;
  double height;
};

std::string rect(const Box& box, const std::string& attributes) {
  return "<rect x=\"" + px(box.x) + "\" y=\"" + px(box.y) + "\" width=\"" + px(box.width) +
         "\" height=\"" + px(box.height) + "\" " + attributes + "/>";
}

std::string text_at(double x, double y, std::string_view text, const std::string& style = {}) {
  return "<text x=\"" + px(x) + "\" y=\"" + px(y) + "\"" +
         (style.empty() ? "" : " class=\"" + style + "\"") + ">" + xml_text(text) + "</text>\n";
}

// The lines of a tooltip, each made harmless by itself.
std::string title_element(std::string_view title) {
  std::string out = "<title>";
  while (!title.empty()) {
    const std::size_t end = std::min(title.find('\n'), title.size());
    out += xml_text(title.substr(0, end));
    title.remove_prefix(std::min(end + 1, title.size()));
    if (!title.empty()) out += "\n";
  }
  return out + "</title>";
}

class RegionDrawing {
 public:
  explicit RegionDrawing(const RegionMap& map) : map_(map) {
    while (rows() > kMostRows) per_row_ *= 2;
  }

  /// Draws from `y` on; returns where the next drawing may begin.
  double draw(std::string& out, double y) {
    out += "<g>\n";
    y = draw_title(out, y);
    for (std::uint64_t row = 0; row < rows(); ++row) {
      out += text_at(kMargin, y + static_cast<double>(row) * kRowPitch + kLine - 3,
                     std::to_string(row * per_row_));
    }
    for (const MapShape& shape : shapes_of(map_)) draw_shape(out, shape, y);
    y += static_cast<double>(rows()) * kRowPitch + kLine;
    y = draw_owners(out, y);
    y = draw_violations(out, y);
    out += "</g>\n";
    return y + kLine;
  }

 private:
  [[nodiscard]] std::uint64_t rows() const {
    const std::uint64_t used = map_.head().used_granules;
    return used / per_row_ + (used % per_row_ != 0 ? 1 : 0);
  }

  [[nodiscard]] std::string_view color_of(std::uint32_t session) const {
    const std::size_t place = map_.place_of(session);
    return place == map_.owners().size() ? kNobody : kColors.at(place % kColors.size());
  }

  double draw_title(std::string& out, double y) const {
    const RegionMap::Head& head = map_.head();
    const RegionMap::Sums& sums = map_.sums();
    out += text_at(kMargin, y + kLine,
                   "region " + head.name + ": " + bytes_text(head.granules * head.granule_bytes) +
                       " reserved, " + bytes_text(sums.granted_bytes) + " granted in " +
                       count_text(sums.spans, "span") + ", " + bytes_text(sums.live_bytes) +
                       " live in " + count_text(sums.live_blocks, "block"),
                   "title");
    std::string scale = "a row: " + count_text(per_row_, "granule") + " (" +
                        bytes_text(per_row_ * head.granule_bytes) + ")";
    if (head.used_granules < head.granules) {
      scale += "; free from granule " + std::to_string(head.used_granules) + " on";
    }
    out += text_at(kMargin, y + 2 * kLine, scale);
    return y + 2 * kLine + kRowPitch / 2;
  }

  // A box for each row that the shape lies in, all with one tooltip.
  void draw_shape(std::string& out, const MapShape& shape, double y) const {
    out += "<g>" + title_element(shape.title);
    const double pixels = kMapWidth / static_cast<double>(per_row_);
    const std::uint64_t end = shape.first + shape.granules;
    for (std::uint64_t at = shape.first; at < end;) {
      const std::uint64_t row = at / per_row_;
      const std::uint64_t row_end = std::min(end, (row + 1) * per_row_);
      const Box box{kMargin + kLabelWidth + static_cast<double>(at % per_row_) * pixels,
                    y + static_cast<double>(row) * kRowPitch,
                    std::max(static_cast<double>(row_end - at) * pixels, 0.5), kRowHeight};
      draw_box(out, shape, box);
      at = row_end;
    }
    out += "</g>\n";
  }

  void draw_box(std::string& out, const MapShape& shape, const Box& box) const {
    const std::string kind(kSpanKindNames.at(static_cast<std::size_t>(shape.kind)));
    if (is_span(shape.kind)) {
      const std::string fill = "fill=\"" + std::string(color_of(shape.session)) + "\"";
      out += rect(box, fill + " class=\"back " + kind + "\"");
      const double level = (box.height - kAgeHeight) * shape.occupancy;
      if (level > 0) out += rect({box.x, box.y + box.height - level, box.width, level}, fill);
      out += rect({box.x, box.y, box.width, kAgeHeight},
                  "fill=\"#000\" fill-opacity=\"" + px(darkness(shape)) + "\"");
      if (shape.orphan) out += rect(box, "fill=\"url(#orphan)\"");
      draw_label(out, shape, box);
    } else {
      out += rect(box, "class=\"" + kind + "\"");
    }
    if (shape.violations > 0) out += rect(box, "class=\"wrong\"");
  }

  // Age on a logarithmic scale, from 0 at a second to 1 at ten days.
  [[nodiscard]] double darkness(const MapShape& shape) const {
    if (shape.granted_unix_ns == 0 || map_.head().now_unix_ns <= shape.granted_unix_ns) return 0;
    const double age_s =
        static_cast<double>(map_.head().now_unix_ns - shape.granted_unix_ns) * 1e-9;
    return std::clamp(std::log10(std::max(age_s, 1.0)) / 6.0, 0.0, 1.0);
  }

  static void draw_label(std::string& out, const MapShape& shape, const Box& box) {
    if (box.width < kMinTextWidth) return;
    std::string label(kSpanKindNames.at(static_cast<std::size_t>(shape.kind)).substr(0, 1));
    const std::string longer =
        std::string(kSpanKindNames.at(static_cast<std::size_t>(shape.kind))) +
        (shape.block_bytes != 0 ? " " + bytes_text(shape.block_bytes) : "");
    if (static_cast<double>(longer.size()) * kPixelsPerLetter < box.width) label = longer;
    out += text_at(box.x + 3, box.y + box.height - 6, label, "tag");
  }

  double draw_owners(std::string& out, double y) const {
    std::size_t lines = 0;
    for (const auto& [session, owner] : map_.owners()) {
      if (++lines > kMostOwnerLines) {
        out += text_at(
            kMargin, y + kLine,
            "and " + std::to_string(map_.owners().size() - kMostOwnerLines) + " more owners");
        return y + kLine;
      }
      out += rect({kMargin, y + 6, 12, 12}, "fill=\"" + std::string(color_of(session)) + "\"");
      out += text_at(kMargin + 20, y + kLine,
                     owner_text(map_, session) + ": " + bytes_text(owner.span_bytes) + " in " +
                         count_text(owner.spans, "span") + ", " + bytes_text(owner.live_bytes) +
                         " live in " + count_text(owner.live_blocks, "block"));
      y += kLine;
    }
    return y;
  }

  double draw_violations(std::string& out, double y) const {
    if (map_.violation_count() == 0) return y;
    y += kLine;
    out += text_at(kMargin, y, count_text(map_.violation_count(), "violation"), "alarm");
    for (const MapViolation& one : map_.violations()) {
      y += kLine;
      out += text_at(kMargin + 20, y, one.text);
    }
    return y;
  }

  const RegionMap& map_;
  std::uint64_t per_row_ = kLeastGranulesPerRow;
};

double draw_legend(std::string& out, double y) {
  out += text_at(kMargin, y + kLine,
                 "a box is a span in the colour of its owner (below), filled as high as its blocks "
                 "are in use; the strip on top darkens with age");
  out += text_at(kMargin, y + 2 * kLine,
                 "dashed: granted, uncarved; dotted: reserved; hatched: orphan; light: free; red "
                 "border: a word that cannot be");
  return y + 3 * kLine;
}

}  // namespace

std::string map_svg(const std::vector<RegionMap>& maps) {
  std::string body;
  double y = draw_legend(body, kMargin);
  for (const RegionMap& map : maps) y = RegionDrawing(map).draw(body, y);
  const std::string width = px(2 * kMargin + kLabelWidth + kMapWidth);
  const std::string height = px(y + kMargin);
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
         "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
         width + "\" height=\"" + height + "\" viewBox=\"0 0 " + width + " " + height + "\">\n" +
         std::string(kStyle) + "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" + body +
         "</svg>\n";
}

}  // namespace allot::ctl
