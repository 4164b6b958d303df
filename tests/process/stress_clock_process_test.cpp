// Clocks that jump. The time of day goes forth and back by days at each look and no call is late; the
// monotonic clock goes forth by hours, so that what waits may be late, and nobody loses anything.

#include <csignal>
#include <cstdint>
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/support/bystander.hpp"
#include "tests/support/control_client.hpp"
#include "tests/support/machine_changes.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

constexpr std::int64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kTwoDays = 172'800;  // seconds

class StressClock : public testing::Test {
 protected:
  [[nodiscard]] ChangedMachine& machine() { return machine_; }
  [[nodiscard]] Supervised& allotd() { return allotd_; }
  [[nodiscard]] const DaemonProcess& daemon() const { return allotd_.supervisor; }
  [[nodiscard]] RegionStats stats() const { return stats_of_region(daemon().control_socket()); }

  /// A bystander on the changed machine.
  [[nodiscard]] Bystander begin(Bystander::Late late) const {
    const auto added = machine_.environment(ALLOT_CHANGED_MACHINE_PATH);
    for (const auto& [name, value] : added) ::setenv(name.c_str(), value.c_str(), 1);
    Bystander out(daemon().client_socket(), late);
    for (const auto& [name, value] : added) ::unsetenv(name.c_str());
    return out;
  }

  void expect_nothing_left(Bystander& bystander) {
    EXPECT_EQ(stats().sessions, Bystander::kSessions) << "of those who live none has ended";
    (void)bystander.finish();
    expect_nobody_and_nothing(daemon().control_socket());
    // Somebody looked at the clocks that this test changes.
    EXPECT_GT(machine_->looks, 0U);
  }

 private:
  ChangedMachine machine_;
  Supervised allotd_{{.environment = machine_.environment(ALLOT_CHANGED_MACHINE_PATH)}};
};

TEST_F(StressClock, TheTimeOfDayJumpsAndNoCallIsLate) {
  Bystander bystander = begin(Bystander::Late::kNever);
  machine()->realtime_spread_s = kTwoDays;
  const SeedRange range = seeds(40);
  for (std::uint64_t i = 0; i < range.count; ++i) {
    if (i % 8 == 4) {
      EXPECT_EQ(::kill(allotd().daemon(), SIGKILL), 0);
      allotd().wait_until_ready();
    }
    (void)bystander.work();
    EXPECT_TRUE(check_region(daemon().control_socket()).is_clean);
  }
  RecordProperty("looks_at_other_times", static_cast<int>(machine()->looks));
  expect_nothing_left(bystander);
}

TEST_F(StressClock, TheMonotonicClockGoesForthByHoursAndNoSessionEnds) {
  Bystander bystander = begin(Bystander::Late::kCounted);
  const SeedRange range = seeds(100);
  std::uint64_t late = 0;
  for (std::uint64_t i = 0; i < range.count; ++i) {
    const SeedScope scope(__FILE__, __LINE__, range.first + i);
    Random random(range.first + i);
    machine()->monotonic_ahead_ns += static_cast<std::int64_t>(random.below(6 * 3600U)) * kSecondNs;
    if (random.percent(50)) late = bystander.work().late_calls;
    if (random.percent(10)) {
      ASSERT_EQ(::kill(allotd().daemon(), SIGKILL), 0);
      allotd().wait_until_ready();
    }
    EXPECT_EQ(stats().sessions, Bystander::kSessions);
  }
  RecordProperty("jumps", static_cast<int>(range.count));
  RecordProperty("late_calls", static_cast<int>(late));
  expect_nothing_left(bystander);
}

}  // namespace
}  // namespace allot::test
