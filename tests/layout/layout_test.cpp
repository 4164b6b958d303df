// The layout is a promise between builds: this compares it with what was recorded.
//
// To record a wanted change: ALLOT_REGENERATE_GOLDEN=1 ./build/dev/tests/layout_tests
// writes tests/layout/golden.txt and the fingerprint in docs/layout.md; edit the tables there by hand.

#include "shared/region/layout.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace allot::region {
namespace {

const std::filesystem::path kSource = ALLOT_SOURCE_DIR;
const std::filesystem::path kGolden = kSource / "tests/layout/golden.txt";
const std::filesystem::path kPage = kSource / "docs/layout.md";

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string fingerprint_line() {
  std::ostringstream line;
  line << "Fingerprint: `0x" << std::hex;
  line.width(16);
  line.fill('0');
  line << fingerprint() << '`';
  return line.str();
}

// The part of the page under "### <type>, <size> bytes"; empty if there is none.
std::string section(const std::string& page, const std::string& type, const std::string& size) {
  const std::size_t begin = page.find("### " + type + ", " + size + " bytes\n");
  if (begin == std::string::npos) return {};
  return page.substr(begin, page.find("\n##", begin + 1) - begin);
}

struct Layout : testing::Test {
  static void SetUpTestSuite() {
    if (std::getenv("ALLOT_REGENERATE_GOLDEN") == nullptr) return;
    std::ofstream(kGolden) << layout_text();
    const std::string page = std::regex_replace(
        read(kPage), std::regex("Fingerprint: `0x[0-9a-f]{16}`"), fingerprint_line());
    std::ofstream(kPage) << page;
  }
};

TEST_F(Layout, EqualsTheGoldenFile) {
  EXPECT_EQ(layout_text(), read(kGolden)) << "If the change is wanted: regenerate (see the top of "
                                             "this test) and say so in CHANGELOG.md";
}

TEST_F(Layout, PageMentionsTheFingerprint) {
  EXPECT_NE(read(kPage).find(fingerprint_line()), std::string::npos) << fingerprint_line();
}

TEST_F(Layout, PageHasEveryStructAndFieldAtItsOffset) {
  const std::string page = read(kPage);
  std::map<std::string, std::string> sizes;
  std::istringstream text(layout_text());
  std::string what;
  std::string name;
  std::string value;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    words >> what >> name >> value;
    if (what == "sizeof") {
      sizes[name] = value;
      EXPECT_FALSE(section(page, name, value).empty()) << line;
    } else if (what == "offsetof") {
      const std::string type = name.substr(0, name.find('.'));
      const std::string row = "\n| " + value + " | `" + name.substr(type.size() + 1) + "` |";
      EXPECT_NE(section(page, type, sizes[type]).find(row), std::string::npos) << line;
    }
  }
  EXPECT_GE(sizes.size(), 7U);
}

TEST_F(Layout, PageHasEveryTableAtItsOffset) {
  const std::string page = read(kPage);
  const auto has_row = [&](std::uint64_t offset, const std::string& table) {
    return page.find("\n| " + std::to_string(offset) + " | " + table) != std::string::npos;
  };
  EXPECT_TRUE(has_row(FileLayout::kSessionsOffset, "`SessionEntry[4096]`"));
  EXPECT_TRUE(has_row(FileLayout::kHeapsOffset, "`HeapEntry[4096]`"));
  EXPECT_TRUE(has_row(FileLayout::kNamesOffset, "`NameEntry[4096]`"));
  EXPECT_TRUE(has_row(FileLayout::kDescriptorsOffset, "span descriptor"));
  EXPECT_TRUE(has_row(FileLayout::kHeapLedgersOffset, "`HeapLedger[4096]`"));
  EXPECT_TRUE(has_row(FileLayout::kSpanLedgersOffset, "`SpanLedger[G]`"));
}

}  // namespace
}  // namespace allot::region
