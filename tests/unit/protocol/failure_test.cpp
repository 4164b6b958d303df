// Failure: an Error on the wire, and back.

#include <cstdint>
#include <string>
#include <system_error>

#include <gtest/gtest.h>

#include "shared/protocol/message.hpp"

namespace allot::protocol {
namespace {

TEST(MakeFailure, SaysTheErrcAndItsDetail) {
  const Failure failure = make_failure(Error(Errc::kNameTaken, "camera"));
  EXPECT_EQ(failure.errc, 50U);
  EXPECT_EQ(text(failure.detail), "camera");
}

TEST(MakeFailure, SaysWhatTheSystemSaid) {
  const Failure failure = make_failure(Error(std::make_error_code(std::errc::no_space_on_device)));
  EXPECT_EQ(failure.errc, static_cast<std::uint64_t>(Errc::kSystem));
  EXPECT_EQ(text(failure.detail), std::make_error_code(std::errc::no_space_on_device).message());
}

TEST(MakeFailure, CutsALongDetail) {
  const Failure failure = make_failure(Error(Errc::kBadName, std::string(500, 'x')));
  EXPECT_EQ(text(failure.detail), std::string(95, 'x'));
}

TEST(ToError, IsWhatTheFailureWasMadeOf) {
  const Error error = to_error(make_failure({Errc::kUidQuota, "uid 7"}));
  EXPECT_EQ(error.errc(), Errc::kUidQuota);
  EXPECT_EQ(error.detail, "uid 7");
}

}  // namespace
}  // namespace allot::protocol
