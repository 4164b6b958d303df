#include "tools/allotctl/drawing/map_glyph.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace {

constexpr char kViolation = '!';
constexpr char kOrphan = '*';
constexpr char kNothing = '.';
constexpr char kReserved = '-';
constexpr char kMoving = '~';
constexpr char kUncarved = '_';
constexpr char kManyOthers = '+';
constexpr char kUnknown = '?';
constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr int kTenths = 10;

struct AgeStep {
  std::uint64_t below_s;
  std::string_view text;
};

constexpr std::uint64_t kMinute = 60;
constexpr std::uint64_t kHour = 60 * kMinute;
constexpr std::uint64_t kDay = 24 * kHour;

// A digit each.
constexpr std::array<AgeStep, 9> kAges = {{{1, "under 1 s"},
                                           {10, "10 s"},
                                           {kMinute, "1 min"},
                                           {10 * kMinute, "10 min"},
                                           {kHour, "1 h"},
                                           {6 * kHour, "6 h"},
                                           {kDay, "1 d"},
                                           {7 * kDay, "7 d"},
                                           {30 * kDay, "30 d"}}};

char digit(int value) { return static_cast<char>('0' + value); }

int tenths(const MapCell& cell) {
  // A sum of parts may miss a round tenth by a hair.
  constexpr double kHair = 1e-9;
  return std::min(static_cast<int>((cell.occupancy() + kHair) * kTenths), kTenths - 1);
}

char of_kind(SpanKind kind) {
  static constexpr std::array<char, kSpanKinds> kGlyphs = {
      kNothing, kReserved, kMoving, kUncarved, 's', 'm', 'L', 'C', kViolation};
  return kGlyphs.at(static_cast<std::size_t>(kind));
}

char of_occupancy(const MapCell& cell) {
  switch (cell.kind()) {
    case SpanKind::kSmall: return digit(tenths(cell));
    case SpanKind::kMedium: return static_cast<char>('a' + tenths(cell));
    case SpanKind::kLarge: return cell.occupancy() > 0 ? '#' : '=';
    case SpanKind::kChunked: return '%';
    default: return of_kind(cell.kind());
  }
}

char of_age(const MapCell& cell, std::uint64_t now_unix_ns) {
  const std::uint64_t since = cell.oldest_unix_ns();
  if (since == 0) return kUnknown;
  const std::uint64_t age_s = now_unix_ns > since ? (now_unix_ns - since) / 1'000'000'000 : 0;
  const auto step = std::find_if(kAges.begin(), kAges.end(),
                                 [age_s](const AgeStep& one) { return age_s < one.below_s; });
  return digit(static_cast<int>(step - kAges.begin()));
}

std::string meaning_of_large(char glyph) {
  switch (glyph) {
    case '#': return "# large block";
    case '=': return "= large block not in use";
    case '%': return "% large block of chunks";
    default: return {};
  }
}

std::string meaning_of_occupancy(char glyph) {
  if (glyph >= '0' && glyph <= '9') return "0-9 small blocks (tenths in use)";
  if (glyph >= 'a' && glyph <= 'j') return "a-j medium blocks (tenths in use)";
  return meaning_of_large(glyph);
}

std::string meaning_of_kind(char glyph) {
  switch (glyph) {
    case 's': return "s small blocks";
    case 'm': return "m medium blocks";
    case 'L': return "L large block";
    case 'C': return "C large block of chunks";
    default: return {};
  }
}

std::string meaning_of_age(char glyph) {
  if (glyph < '0' || glyph > '9') return {};
  const auto step = static_cast<std::size_t>(glyph - '0');
  const std::string text(step < kAges.size() ? kAges.at(step).text : kAges.back().text);
  if (step == 0) return "0 " + text;
  return std::string(1, glyph) + (step < kAges.size() ? " to " : " over ") + text;
}

// Of what looks the same in every view; empty for anything else.
std::string common_meaning(char glyph) {
  switch (glyph) {
    case kNothing: return ". free";
    case kReserved: return "- reserved";
    case kMoving: return "~ changing";
    case kUncarved: return "_ granted but uncarved";
    case kOrphan: return "* orphan";
    case kViolation: return "! violation";
    case kUnknown: return "? not known";
    case kManyOthers: return "+ others";
    default: return {};
  }
}

}  // namespace

MapGlyphs::MapGlyphs(const RegionMap& map, MapView view) : map_(&map), view_(view) {
  for (const MapCell& cell : map.cells()) {
    if (cell.block_bytes() != 0) classes_[cell.block_bytes()] = kManyOthers;
  }
  std::size_t next = 0;
  for (auto& [bytes, glyph] : classes_) glyph = of_owner(next++);
}

char MapGlyphs::of_owner(std::size_t place) noexcept {
  return place < kLetters.size() ? kLetters[place] : kManyOthers;
}

char MapGlyphs::of(const MapCell& cell) const {
  if (cell.violations() > 0) return kViolation;
  if (cell.is_orphan()) return kOrphan;
  return is_span(cell.kind()) ? of_span(cell) : of_kind(cell.kind());
}

char MapGlyphs::of_span(const MapCell& cell) const {
  switch (view_) {
    case MapView::kOccupancy: return of_occupancy(cell);
    case MapView::kKind: return of_kind(cell.kind());
    case MapView::kOwner: return of_owner(map_->place_of(cell.session()));
    case MapView::kAge: return of_age(cell, map_->head().now_unix_ns);
    case MapView::kClass: {
      const auto found = classes_.find(cell.block_bytes());
      // Letters are classes here: what has none looks as it does beside occupancy.
      return found == classes_.end() ? of_occupancy(cell) : found->second;
    }
  }
  return kUnknown;
}

std::string MapGlyphs::legend() const {
  std::set<char> met;
  for (const MapCell& cell : map_->cells()) met.insert(of(cell));
  std::string out;
  std::set<std::string> said;
  const auto say = [&](const std::string& text) {
    if (!text.empty() && said.insert(text).second) out += (out.empty() ? "" : ", ") + text;
  };
  for (const char glyph : met) {
    switch (view_) {
      case MapView::kOccupancy: say(meaning_of_occupancy(glyph)); break;
      case MapView::kClass: say(meaning_of_large(glyph)); break;
      case MapView::kKind: say(meaning_of_kind(glyph)); break;
      case MapView::kAge: say(meaning_of_age(glyph)); break;
      case MapView::kOwner: break;  // the table of owners has their letters
    }
  }
  if (view_ == MapView::kClass) {
    for (const auto& [bytes, glyph] : classes_) {
      if (met.contains(glyph)) say(std::string(1, glyph) + " " + bytes_text(bytes));
    }
  }
  for (const char glyph : met) say(common_meaning(glyph));
  return out;
}

}  // namespace allot::ctl
