// The daemon at its limit of descriptors: who is there goes on, who comes is not served until somebody
// ends, and the next daemon restores all.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstddef>

#include <allot/session.hpp>

#include "tests/support/bystander.hpp"
#include "tests/support/crowd.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Not;

constexpr unsigned kFew = 96;
constexpr std::chrono::milliseconds kShort{300};

RegionStats stats_of(const DaemonProcess& daemon) {
  return stats_of_region(daemon.control_socket());
}

// Room comes piece by piece, and who asks too early is told so.
Session connect_at_last(const DaemonProcess& daemon) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto session = Session::connect(options_for(daemon.client_socket()));
    if (session || std::chrono::steady_clock::now() > deadline) return session.value();
    EXPECT_TRUE(session.error() == Errc::kTooManySessions || session.error() == Errc::kSystem)
        << session.error().message();
  }
}

// More come than there is room for, and some of them are served as others end.
void come_and_go(const DaemonProcess& daemon, Crowd& crowd, Bystander& bystander) {
  crowd.fill();
  EXPECT_GE(crowd.size(), std::size_t{10});
  EXPECT_THAT(crowd.refusals(), Each(Not(HasSubstr("closed")))) << "a refusal has a reason";
  crowd.all_work();
  (void)bystander.work();
  EXPECT_THAT(daemon.log(), Not(HasSubstr("has no effect"))) << "available memory is still known";

  ConnectOptions hasty = options_for(daemon.client_socket());
  hasty.deadline = kShort;
  EXPECT_TRUE(refused(Session::connect(hasty), Errc::kDeadline));

  crowd.leave(4);
  Session late = connect_at_last(daemon);
  EXPECT_EQ(late.free(late.allocate(100'000)), Errc::kOk) << Session::last_error().message();
  late.close();
  crowd.all_work();
  (void)bystander.work();
}

TEST(StressDescriptors, WhoIsThereGoesOnAtTheLimitAndOthersAreServedLater) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, with_descriptors(kFew));
  Bystander bystander(daemon.client_socket());
  Crowd crowd(daemon);
  come_and_go(daemon, crowd, bystander);
  RecordProperty("sessions_at_limit", static_cast<int>(crowd.size() + Bystander::kSessions));
  crowd.disperse();
  crowd.leave(crowd.size());
  (void)bystander.finish();
  expect_nobody_and_nothing(daemon.control_socket());
}

TEST(StressDescriptors, ADaemonThatIsKilledAtTheLimitIsFollowedByOneThatHasAll) {
  Supervised allotd(with_descriptors(kFew));
  const DaemonProcess& daemon = allotd.supervisor;
  Bystander bystander(daemon.client_socket());
  Crowd crowd(daemon);
  come_and_go(daemon, crowd, bystander);
  crowd.disperse();
  await_sessions(daemon.control_socket(), crowd.size() + Bystander::kSessions);
  const std::uint64_t granted = stats_of(daemon).granted_bytes;
  ASSERT_GE(granted, crowd.size() * region::kGranuleBytes);
  for (int kills = 0; kills < 3; ++kills) {
    ASSERT_EQ(::kill(allotd.daemon(), SIGKILL), 0);
    allotd.wait_until_ready();
    (void)bystander.work();
  }
  EXPECT_EQ(stats_of(daemon).sessions, crowd.size() + Bystander::kSessions);
  RecordProperty("sessions_at_limit", static_cast<int>(crowd.size() + Bystander::kSessions));
  RecordProperty("kills_at_limit", 3);
  EXPECT_THAT(daemon.log(), Not(HasSubstr("lost its presence file")));
  crowd.leave(crowd.size());
  (void)bystander.finish();
  expect_nobody_and_nothing(daemon.control_socket());
}

}  // namespace
}  // namespace allot::test
