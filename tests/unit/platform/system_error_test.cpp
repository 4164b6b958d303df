#include "shared/platform/system_error.hpp"

#include <cerrno>
#include <system_error>

#include <gtest/gtest.h>

namespace allot::platform {
namespace {

TEST(SystemError, NamesTheCallAndKeepsErrno) {
  errno = ENOSPC;
  const Error error = system_error("fallocate");
  EXPECT_EQ(error.code, std::errc::no_space_on_device);
  EXPECT_EQ(error.errc(), Errc::kSystem);
  EXPECT_EQ(error.detail, "fallocate");
}

}  // namespace
}  // namespace allot::platform
