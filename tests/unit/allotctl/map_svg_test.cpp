// A region as SVG: a box with a tooltip for each item, nothing of others unescaped. That it parses
// as XML is shown by tests/process/allotctl_svg_test.cpp, with a parser that is not ours.

#include "tools/allotctl/drawing/map_svg.hpp"

#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sample_map.hpp"

namespace allot::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

TEST(MapSvg, HasOneTooltipForEachItem) {
  const RegionMap map = test::sample_map();
  const std::string svg = map_svg({map});
  EXPECT_EQ(count_of(svg, "<title>"), map.items().size());
  EXPECT_THAT(svg, HasSubstr("<title>granules 1 to 2 (128.0 KiB)\n"
                             "medium, blocks of 2.0 KiB\n"
                             "session 21.3, taker, pid 4711, uid 0\n"
                             "100 of 100 blocks in use, 100 %\n"
                             "granted 2 h ago</title>"));
  EXPECT_THAT(svg, HasSubstr("age unknown"));
  EXPECT_THAT(svg, HasSubstr("<title>granule 8 (64.0 KiB)\norphan, small"));
  EXPECT_THAT(svg, HasSubstr("url(#orphan)"));
  EXPECT_THAT(svg, Not(HasSubstr("class=\"wrong\"")));
}

TEST(MapSvg, SpanOverRowsHasABoxInEach) {
  RegionMap map({"default", 256, 65'536, 256, 0}, 10);
  map.add(test::sample_item(SpanKind::kReserved, 32, 96));
  const std::string svg = map_svg({map});
  EXPECT_EQ(count_of(svg, "<title>"), 1U);
  EXPECT_EQ(count_of(svg, "class=\"reserved\""), 2U);
}

TEST(MapSvg, MarksWhatIsWrong) {
  RegionMap map = test::sample_map();
  map.add_violations(2);
  map.add(MapViolation{12, "a stray descriptor"});
  map.add(MapViolation{1, "granule 1, word 7"});
  const std::string svg = map_svg({map});
  EXPECT_EQ(count_of(svg, "class=\"wrong\""), 2U);
  EXPECT_THAT(svg, HasSubstr(">2 violations</text>"));
  EXPECT_THAT(svg, HasSubstr("granule 1, word 7</text>"));
}

TEST(MapSvg, EscapesWhatClientsSay) {
  RegionMap map = test::sample_map();
  map.add(test::sample_owner(22, "</title><script>&\x1b"));
  MapItem item = test::sample_item(SpanKind::kLarge, 11, 1, 100);
  item.session = 22;
  map.add(item);
  const std::string svg = map_svg({map});
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  EXPECT_THAT(svg, HasSubstr("&lt;/title&gt;&lt;script&gt;&amp;?"));
}

TEST(MapSvg, DrawsCellsWhereThereAreTooManySpans) {
  constexpr std::uint64_t kGranules = 100'000;
  RegionMap map({"default", kGranules, 65'536, kGranules, 0}, kMaxSvgCells);
  for (std::uint64_t i = 0; i < kGranules; ++i) {
    map.add(test::sample_item(SpanKind::kLarge, i, 1, 100));
  }
  const std::string svg = map_svg({map});
  EXPECT_EQ(count_of(svg, "<title>"), map.cells().size());
  EXPECT_LT(svg.size(), std::size_t{4} << 20);
}

}  // namespace
}  // namespace allot::ctl
