// A region in characters: each cell one, for each property; what is wrong shows in all.

#include "tools/allotctl/drawing/map_text.hpp"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sample_map.hpp"
#include "tools/allotctl/drawing/plain_text.hpp"

namespace allot::ctl {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

// The characters of the map's first row.
std::string row_of(const RegionMap& map, MapView view) {
  const std::string text = map_text(map, {80, false, view});
  const std::size_t begin = text.find('\n') + 1;
  const std::string line = text.substr(begin, text.find('\n', begin) - begin);
  EXPECT_THAT(line.substr(0, 10), "        0 ");
  return line.substr(10);
}

TEST(MapText, ShowsEachPropertyByOneCharacter) {
  const RegionMap map = test::sample_map();
  EXPECT_EQ(row_of(map, MapView::kOccupancy), "4jj#=%_!*-~....-");
  EXPECT_EQ(row_of(map, MapView::kKind), "smmLLC_!*-~....-");
  EXPECT_EQ(row_of(map, MapView::kClass), "ABB#=%_!*-~....-");
  EXPECT_EQ(row_of(map, MapView::kOwner), "ABBAAAAA*-~....-");
  EXPECT_EQ(row_of(map, MapView::kAge), "155111?1*-~....-");
}

TEST(MapText, ExplainsOnlyWhatOccurs) {
  RegionMap map = test::empty_map();
  map.add(test::sample_item(SpanKind::kMedium, 0, 1, 55));
  const std::string text = map_text(map, {});
  EXPECT_THAT(text, HasSubstr("a-j medium blocks (tenths in use)"));
  EXPECT_THAT(text, Not(HasSubstr("small")));
  EXPECT_THAT(map_text(test::sample_map(), {200, false, MapView::kClass}),
              HasSubstr(", A 64 B, B 2.0 KiB, "));
  EXPECT_THAT(map_text(test::sample_map(), {80, false, MapView::kClass}),
              HasSubstr("A 64 B,\nB 2.0 KiB, "));
}

TEST(MapText, SaysWhoOwnsWhat) {
  const std::string text = map_text(test::sample_map(), {});
  EXPECT_THAT(text, HasSubstr("region default: 4.0 MiB reserved, "));
  EXPECT_THAT(text, HasSubstr("\nA         20.3  live   maker  4711"));
  EXPECT_THAT(text, HasSubstr("\nB         21.3  live   taker  4711"));
  EXPECT_THAT(text, HasSubstr("one character: 1 granule (64.0 KiB); free from granule 16 on"));
  EXPECT_THAT(text, HasSubstr("1 orphan"));
}

TEST(MapText, ShowsViolationsInEveryView) {
  RegionMap map = test::sample_map();
  MapItem wrong = test::sample_item(SpanKind::kSmall, 1, 1, 100);
  wrong.violations = 2;
  map.add(wrong);
  map.add_violations(2);
  map.add(MapViolation{1, "granule 1, word 7"});
  for (const MapView view :
       {MapView::kOccupancy, MapView::kKind, MapView::kClass, MapView::kOwner, MapView::kAge}) {
    EXPECT_EQ(row_of(map, view)[1], '!');
  }
  EXPECT_THAT(map_text(map, {}), EndsWith("! 2 violations\n  granule 1, word 7\n  and 1 more\n"));
  EXPECT_THAT(map_text(map, {80, true, MapView::kKind}), HasSubstr("\x1b[1;97;41m!\x1b[0m"));
}

TEST(MapText, ShowsViolationWhereNoSpanIs) {
  RegionMap map = test::sample_map();
  map.add_violations(1);
  map.add(MapViolation{12, "a stray descriptor"});
  EXPECT_EQ(row_of(map, MapView::kKind)[12], '!');
}

TEST(MapText, ColoursOwnersOnlyIfTold) {
  const RegionMap map = test::sample_map();
  EXPECT_EQ(map_text(map, {}).find('\x1b'), std::string::npos);
  const std::string text = map_text(map, {80, true, MapView::kOccupancy});
  EXPECT_THAT(text, HasSubstr("\x1b[32m4\x1b[0m\x1b[34mjj\x1b[0m\x1b[32m#=%_!\x1b[0m"));
  EXPECT_THAT(text, HasSubstr("\n\x1b[32mA\x1b[0m "));
}

TEST(MapText, LetsNoTextOfOthersReachTheTerminal) {
  RegionMap map({"\x1b[2Jx", 64, 65'536, 16, 0}, 100);
  MapOwner owner = test::sample_owner(20, "a\x1b]0;b\x07\xC2\x9B");
  owner.state = "\r\n";
  map.add(owner);
  map.add_violations(1);
  map.add(MapViolation{99, "\x1b[31m"});
  const std::string text = map_text(map, {});
  for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c <= '~')) << text;
}

TEST(MapText, FitsTheWidth) {
  for (const std::size_t width : {1U, 24U, 40U, 80U, 200U, 5000U}) {
    RegionMap map({"default", 1U << 24, 65'536, 1U << 24, 0}, map_text_cells(width));
    const std::string text = map_text(map, {width, false, MapView::kKind});
    const std::size_t begin = text.find('\n') + 1;
    EXPECT_LE(text.find('\n', begin) - begin, std::max<std::size_t>(width, kMinMapWidth));
    EXPECT_LE(map.cells().size(), map_text_cells(width));
  }
}

TEST(MapText, DrawsARegionThatHasNothing) {
  const RegionMap map({"default", 64, 65'536, 0, 0}, 10);
  EXPECT_THAT(map_text(map, {}), HasSubstr("0 B granted in 0 spans"));
}

TEST(PlainText, KeepsOnlyWhatIsPrintable) {
  EXPECT_EQ(plain_text("a\x1b[m\t\xC3\xA9~ "), "a?[m???~ ");
  EXPECT_EQ(xml_text("<a b='c' \"&\x01>"), "&lt;a b=&apos;c&apos; &quot;&amp;?&gt;");
}

}  // namespace
}  // namespace allot::ctl
