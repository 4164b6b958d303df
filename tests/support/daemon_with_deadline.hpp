// DaemonWithDeadline: the fixture of tests in which the daemon is late, and a call's deadline counts.
#pragma once

#include <chrono>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/served_region.hpp"

namespace allot::test {

class DaemonWithDeadline : public testing::Test {
 protected:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kShort{200};

  [[nodiscard]] DaemonProcess& daemon() { return daemon_; }
  [[nodiscard]] ConnectOptions options(std::chrono::milliseconds deadline = kShort) const {
    ConnectOptions out = options_for(daemon_.client_socket());
    out.deadline = deadline;
    return out;
  }
  [[nodiscard]] Session connect(std::chrono::milliseconds deadline = kShort) const {
    return Session::connect(options(deadline)).value();
  }
  [[nodiscard]] RegionCheck check() const { return check_region(daemon_.control_socket()); }

  /// Expects that `call` takes at least the deadline and not many times as long.
  template <class Call>
  static void expect_in_time(Call call, std::chrono::milliseconds deadline = kShort) {
    const auto start = Clock::now();
    call();
    const auto took = Clock::now() - start;
    EXPECT_GE(took, deadline);
    EXPECT_LT(took, 20 * deadline) << "a busy machine may be slow, but not that slow";
  }

 private:
  DaemonProcess daemon_{ALLOT_ALLOTD_PATH};
};

}  // namespace allot::test
