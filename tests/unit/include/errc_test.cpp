#include <allot/errc.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

namespace allot {
namespace {

// All of them, by the numbers they were released with.
constexpr std::uint16_t kNumbers[] = {0,  1,  2,  3,  4,  5,  10, 11, 12, 13, 14, 15, 16, 17, 18,
                                      19, 20, 21, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
                                      42, 50, 51, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71,
                                      72, 73, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 99};

TEST(Errc, EachHasATextOfItsOwn) {
  std::set<std::string> texts;
  for (const std::uint16_t number : kNumbers) {
    const std::string text(describe(static_cast<Errc>(number)));
    EXPECT_NE(text, "unknown error") << number;
    EXPECT_FALSE(text.empty()) << number;
    EXPECT_FALSE(text.ends_with('.')) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    EXPECT_TRUE(texts.insert(text).second) << text << " stands twice";
  }
}

TEST(Errc, OtherNumbersAreUnknown) {
  const std::set<std::uint16_t> known(std::begin(kNumbers), std::end(kNumbers));
  for (std::uint32_t number = 0; number < 0x10000; number += number < 200 ? 1 : 997) {
    if (known.contains(static_cast<std::uint16_t>(number))) continue;
    EXPECT_EQ(describe(static_cast<Errc>(number)), "unknown error") << number;
  }
}

TEST(Errc, IsAnErrorCode) {
  const std::error_code code = Errc::kStaleHandle;
  EXPECT_EQ(&code.category(), &error_category());
  EXPECT_STREQ(code.category().name(), "allot");
  EXPECT_EQ(code.message(), describe(Errc::kStaleHandle));
  EXPECT_TRUE(code == Errc::kStaleHandle);
  EXPECT_FALSE(code == Errc::kNotOwner);
  EXPECT_FALSE(code == std::error_code(15, std::generic_category()));
  EXPECT_FALSE(static_cast<bool>(make_error_code(Errc::kOk)));
}

}  // namespace
}  // namespace allot
