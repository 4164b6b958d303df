// DaemonWithDeadline: the fixture of tests in which the daemon is late, and a call's deadline counts.
#pragma once

#include <chrono>
#include <csignal>
#include <string>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/served_region.hpp"

namespace allot::test {

class DaemonWithDeadline : public testing::Test {
 protected:
  DaemonWithDeadline() = default;
  explicit DaemonWithDeadline(const std::string& config)
      : daemon_(ALLOT_ALLOTD_PATH, DaemonProcess::Options{.config = config}) {}

  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kShort{500};

  [[nodiscard]] DaemonProcess& daemon() { return daemon_; }
  [[nodiscard]] ConnectOptions options(std::chrono::milliseconds deadline = kShort) const {
    ConnectOptions out = options_for(daemon_.client_socket());
    out.deadline = deadline;
    return out;
  }
  [[nodiscard]] Session connect(std::chrono::milliseconds deadline = kShort) const {
    return Session::connect(options(deadline)).value();
  }
  /// A session whose calls wait for almost nothing; connecting may take longer.
  [[nodiscard]] static Session connect_hastily(ConnectOptions hasty) {
    hasty.deadline = std::chrono::milliseconds(1);
    const auto begun = Clock::now();
    auto session = Session::connect(hasty);
    while (!session && session.error() == Errc::kDeadline && Clock::now() - begun < kPatience) {
      session = Session::connect(hasty);
    }
    return session.value();
  }
  [[nodiscard]] RegionCheck check() const { return check_region(daemon_.control_socket()); }

  /// Wakes the stopped daemon and waits until it has caught up with all that `session` asked.
  void resume(Session& session) {
    daemon_.signal(SIGCONT);
    const auto begun = Clock::now();
    while (session.find("nothing").error() == Errc::kDeadline) {
      ASSERT_LT(Clock::now() - begun, kPatience);
    }
  }

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
