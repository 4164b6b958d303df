#include <allot/expected.hpp>

#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <gtest/gtest.h>

namespace allot {
namespace {

Expected<int> half(int number) {
  if (number % 2 != 0) return Error(Errc::kBadArgument, std::to_string(number) + " is odd");
  return number / 2;
}

TEST(Expected, HoldsAValueOrSaysWhyNot) {
  EXPECT_EQ(half(8).value(), 4);
  EXPECT_TRUE(half(8).has_value());
  const auto refused = half(7);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error() == Errc::kBadArgument);
  EXPECT_EQ(refused.error().errc(), Errc::kBadArgument);
  EXPECT_EQ(refused.error().message(), std::string(describe(Errc::kBadArgument)) + ": 7 is odd");
}

TEST(Expected, ValueOfAnErrorThrowsIt) {
  try {
    (void)half(7).value();
    FAIL() << "it did not throw";
  } catch (const std::system_error& thrown) {
    EXPECT_TRUE(thrown.code() == Errc::kBadArgument);
    EXPECT_NE(std::string(thrown.what()).find("7 is odd"), std::string::npos);
  }
}

TEST(Expected, CarriesTheSystemsErrorsToo) {
  const Error error(std::make_error_code(std::errc::permission_denied), "open /x");
  EXPECT_EQ(error.errc(), Errc::kSystem);
  EXPECT_FALSE(error == Errc::kNotAllowed);
  EXPECT_NE(error.message().find("open /x"), std::string::npos);
  EXPECT_EQ(Error(Errc::kClosed).message(), describe(Errc::kClosed)) << "no detail, no colon";
}

TEST(Expected, MovesWhatCannotBeCopied) {
  Expected<std::unique_ptr<int>> boxed(std::make_unique<int>(5));
  const std::unique_ptr<int> taken = std::move(boxed).value();
  EXPECT_EQ(*taken, 5);
  const Expected<void> nothing;
  EXPECT_TRUE(nothing.has_value());
}

}  // namespace
}  // namespace allot
