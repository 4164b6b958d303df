#include "daemon/restart_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <vector>

namespace allot::daemon {
namespace {

using std::chrono::milliseconds;
using Fate = RestartPolicy::Fate;

constexpr int exited(int status) { return status << 8; }
constexpr milliseconds kShort{5};
constexpr milliseconds kLong{5000};

std::vector<int> pauses(RestartPolicy& policy, int count) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(static_cast<int>(policy.ended(SIGKILL, kShort).pause.count()));
  }
  return all;
}

TEST(RestartPolicy, RestartsAtOnceAndThenSlowerUntilItIsSteady) {
  RestartPolicy policy;
  policy.was_ready();
  EXPECT_THAT(pauses(policy, 10),
              testing::ElementsAre(0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000));
  EXPECT_EQ(policy.ended(SIGSEGV, kLong).pause.count(), 0);
  EXPECT_EQ(policy.ended(SIGSEGV, kShort).pause.count(), 1000);  // it lived, and did not serve
  policy.is_steady();
  EXPECT_THAT(pauses(policy, 3), testing::ElementsAre(0, 10, 20));
}

TEST(RestartPolicy, WaitsNoLongerThanItIsAskedTo) {
  RestartPolicy policy{milliseconds(25)};
  EXPECT_THAT(pauses(policy, 5), testing::ElementsAre(0, 10, 20, 25, 25));
  RestartPolicy at_once{milliseconds(0)};
  EXPECT_THAT(pauses(at_once, 3), testing::ElementsAre(0, 0, 0));
}

TEST(RestartPolicy, EndsWithADaemonThatNeverWasReadyAndSaysWhy) {
  for (const int status : {1, 2}) {
    RestartPolicy policy;
    const auto decision = policy.ended(exited(status), kShort);
    EXPECT_EQ(decision.fate, Fate::kEnd);
    EXPECT_EQ(decision.exit_status, status);
  }
  const auto no_program = RestartPolicy().ended(exited(127), kShort);
  EXPECT_EQ(no_program.fate, Fate::kEnd);
  EXPECT_EQ(no_program.exit_status, 1);
  EXPECT_EQ(RestartPolicy().ended(SIGKILL, kShort).fate, Fate::kRestart);
  EXPECT_EQ(RestartPolicy().ended(exited(4), kShort).fate, Fate::kRestart);
}

TEST(RestartPolicy, KeepsTheDescriptorsOnceItWasReady) {
  RestartPolicy policy;
  policy.was_ready();
  EXPECT_EQ(policy.ended(exited(1), kShort).fate, Fate::kRestart);
  EXPECT_EQ(policy.ended(exited(127), kShort).fate, Fate::kRestart);
  EXPECT_EQ(policy.ended(exited(2), kShort).fate, Fate::kHold);
  EXPECT_EQ(policy.ended(exited(3), kShort).fate, Fate::kHold);
  const auto done = policy.ended(exited(0), kShort);
  EXPECT_EQ(done.fate, Fate::kEnd);
  EXPECT_EQ(done.exit_status, 0);
}

}  // namespace
}  // namespace allot::daemon
