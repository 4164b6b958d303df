#include "bench/drawing.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <string>

#include "bench/target.hpp"

namespace allot::bench {

namespace {

constexpr int kWidth = 760;
constexpr int kNameWidth = 190;
constexpr int kValueWidth = 90;
constexpr int kBarHeight = 14;
constexpr int kRowHeight = 19;
constexpr int kTitleHeight = 30;
constexpr int kMargin = 10;
constexpr int kLongestBar = kWidth - kNameWidth - kValueWidth - 2 * kMargin;
// A bar may be so many times the longer one of ours and the best peer's.
constexpr double kCutOff = 6;

struct Bar {
  std::string name;
  double value = 0;
  const char* colour = "";
};

std::string number(double value) {
  std::ostringstream text;
  text << std::setprecision(3);
  if (value >= 1000) text << std::fixed << std::setprecision(0);
  text << value;
  return text.str();
}

std::string escaped(const std::string& text) {
  std::string result;
  for (const char letter : text) {
    if (letter == '&') {
      result += "&amp;";
    } else if (letter == '<') {
      result += "&lt;";
    } else {
      result += letter;
    }
  }
  return result;
}

void write_text(std::ostream& out, int x, int y, const std::string& text,
                const std::string& attributes = "") {
  out << "<text x='" << x << "' y='" << y << "'" << attributes << ">" << escaped(text)
      << "</text>\n";
}

/// Ours first, then what it is compared with, least first, then the rest in the report's order.
std::vector<Bar> bars_of(const Measurement& measurement) {
  std::vector<Bar> bars;
  for (const NamedSample& peer : measurement.peers) {
    bars.push_back({peer.name, peer.sample.median(), "#8a94a6"});
  }
  std::sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) { return a.value < b.value; });
  bars.insert(bars.begin(), {"ours", measurement.ours.median(), "#d9622b"});
  for (const NamedSample& beside : measurement.beside) {
    bars.push_back({beside.name, beside.sample.median(), "#c3c9d3"});
  }
  return bars;
}

double scale_of(const Measurement& measurement, const std::vector<Bar>& bars) {
  const NamedSample* const best = measurement.best_peer();
  double longest = 0;
  for (const Bar& bar : bars) longest = std::max(longest, bar.value);
  const double main =
      std::max(measurement.ours.median(), best != nullptr ? best->sample.median() : 0.0);
  return main > 0 ? std::min(longest, kCutOff * main) : longest;
}

std::string title_of(const Measurement& measurement) {
  std::string title = measurement.case_name + " (" + measurement.unit + ")";
  const auto ratio = measurement.ratio();
  if (ratio) title += ": " + number(*ratio) + " of the best";
  const Target* const target = target_of(measurement);
  if (target != nullptr) {
    title += target->of == Target::Of::kRatio ? ", at most " : ": at most ";
    title += number(target->at_most);
  }
  return title;
}

void write_bar(std::ostream& out, const Bar& bar, double scale, int y) {
  const bool cut = bar.value > scale;
  const double part = scale > 0 ? std::min(bar.value / scale, 1.0) : 0;
  const int length = std::max(1, static_cast<int>(part * kLongestBar));
  write_text(out, kMargin + kNameWidth - 8, y + kBarHeight - 3, bar.name, " text-anchor='end'");
  out << "<rect x='" << kMargin + kNameWidth << "' y='" << y << "' width='" << length
      << "' height='" << kBarHeight << "' rx='2' fill='" << bar.colour << "'/>\n";
  if (cut) {
    const int x = kMargin + kNameWidth + length - 26;
    out << "<path d='M" << x << ' ' << y + kBarHeight << "l8 -" << kBarHeight
        << "' stroke='white' stroke-width='4'/>\n";
  }
  write_text(out, kMargin + kNameWidth + length + 6, y + kBarHeight - 3, number(bar.value));
}

}  // namespace

void write_svg(std::ostream& out, std::string_view family,
               const std::vector<Measurement>& measurements) {
  std::ostringstream body;
  int y = kMargin;
  for (const Measurement& measurement : measurements) {
    if (measurement.family != family) continue;
    write_text(body, kMargin, y + 18, title_of(measurement), " font-weight='bold'");
    y += kTitleHeight;
    const std::vector<Bar> bars = bars_of(measurement);
    const double scale = scale_of(measurement, bars);
    for (const Bar& bar : bars) {
      write_bar(body, bar, scale, y);
      y += kRowHeight;
    }
    y += kMargin;
  }
  out << "<svg xmlns='http://www.w3.org/2000/svg' width='" << kWidth << "' height='" << y
      << "' font-family='sans-serif' font-size='12'>\n"
      << "<title>" << escaped(std::string(family)) << "</title>\n"
      << "<rect width='100%' height='100%' fill='white'/>\n"
      << "<g fill='#222'>\n"
      << body.str() << "</g>\n</svg>\n";
}

}  // namespace allot::bench
