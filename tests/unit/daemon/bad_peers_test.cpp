#include "daemon/bad_peers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/log.hpp"

namespace allot::daemon {
namespace {

using testing::HasSubstr;
using testing::Not;
using Fate = BadPeers::Fate;

const BadPeers::Clock::time_point kStart{std::chrono::hours(1)};

TEST(BadPeers, FirstOfAUserIsLoggedWithWhoAndWhy) {
  BadPeers peers;
  EXPECT_EQ(peers.note(12, 34, Fate::kDropped, "it lied", kStart),
            "dropped pid 12 of uid 34: it lied");
  EXPECT_EQ(peers.count(), 1U);
}

TEST(BadPeers, LineSaysWhatBecameOfThePeer) {
  BadPeers peers;
  EXPECT_EQ(peers.note(1, 2, Fate::kRefused, "x", kStart), "refused pid 1 of uid 2: x");
  EXPECT_EQ(peers.note(1, 2, Fate::kStays, "x", kStart), "noted pid 1 of uid 2: x");
}

TEST(BadPeers, FloodOfOneUserIsCountedAndNotLogged) {
  BadPeers peers;
  std::uint32_t lines = 0;
  for (int i = 0; i < 1000; ++i) lines += peers.note(1, 2, Fate::kDropped, "x", kStart) ? 1U : 0U;
  EXPECT_EQ(lines, BadPeers::kLinesPerWindow);
  EXPECT_EQ(peers.count(), 1000U);
  EXPECT_TRUE(peers.note(1, 3, Fate::kDropped, "x", kStart));  // another user is heard
  const auto later = peers.note(1, 2, Fate::kDropped, "x", kStart + BadPeers::kWindow);
  ASSERT_TRUE(later);
  EXPECT_THAT(*later, HasSubstr("(995 more of this uid were not logged)"));
  EXPECT_THAT(*peers.note(1, 2, Fate::kDropped, "x", kStart + BadPeers::kWindow),
              Not(HasSubstr("not logged")));
}

TEST(BadPeers, RemembersABoundedNumberOfUsers) {
  BadPeers peers;
  uid_t uid = 0;
  while (uid < BadPeers::kMaxUsers) EXPECT_TRUE(peers.note(1, uid++, Fate::kDropped, "x", kStart));
  EXPECT_FALSE(peers.note(1, uid, Fate::kDropped, "x", kStart));
  EXPECT_TRUE(peers.note(1, 0, Fate::kDropped, "x", kStart));
  EXPECT_TRUE(peers.note(1, uid, Fate::kDropped, "x",
                         kStart + BadPeers::kWindow));  // the old ones are forgotten
  EXPECT_EQ(peers.count(), BadPeers::kMaxUsers + 3);
}

TEST(Log, ForeignTextBecomesOneBoundedPrintableLine) {
  EXPECT_EQ(one_line("a\nb\x1B[0m\xFFz"), "a?b?[0m?z");
  EXPECT_EQ(one_line(std::string(5000, 'x')).size(), 200U);
}

TEST(Log, LevelsHaveNames) {
  EXPECT_EQ(log_level_of("warning"), LogLevel::kWarning);
  EXPECT_EQ(log_level_of("warn"), std::nullopt);
}

}  // namespace
}  // namespace allot::daemon
