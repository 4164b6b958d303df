// What an embedded region does by itself that a served one leaves to the daemon's timers.

#include <allot/embedded.hpp>

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "daemon/core/limits.hpp"
#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using test::refused;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kMoreThanFit = core::Limits{}.max_sessions_per_uid + 10;

EmbeddedRegion make_region() { return EmbeddedRegion::create({1024 * kMiB, 16 * kMiB}).value(); }

TEST(EmbeddedRegion, SessionsThatEndedMakeRoomForOthers) {
  EmbeddedRegion region = make_region();
  for (std::uint64_t i = 0; i < kMoreThanFit; ++i) {
    auto session = region.connect();
    ASSERT_TRUE(session.has_value()) << i << ": " << session.error().message();
    EXPECT_NE(session->allocate(100), nullptr);
  }
  const EmbeddedAudit found = region.audit();
  EXPECT_EQ(found.violations, 0U);
  EXPECT_EQ(found.granted_bytes, 0U);
}

TEST(EmbeddedRegion, MemoryOfASessionThatEndedServesTheOthers) {
  EmbeddedRegion region = make_region();
  Session other = region.connect().value();
  Session session = region.connect().value();
  ASSERT_NE(session.allocate(10 * kMiB), nullptr);
  EXPECT_EQ(other.allocate(10 * kMiB), nullptr);
  session.close();
  void* const block = other.allocate(10 * kMiB);
  EXPECT_NE(block, nullptr) << Session::last_error().message();
  EXPECT_EQ(other.free(block), Errc::kOk);
  EXPECT_EQ(region.audit().violations, 0U);
}

TEST(EmbeddedRegion, AConnectThatFailsLeavesNoSession) {
  EmbeddedRegion region = make_region();
  std::vector<Session> all;
  for (;;) {
    auto session = region.connect();
    if (!session) {
      EXPECT_TRUE(refused(session, Errc::kTooManySessions));
      break;
    }
    all.push_back(*session);
  }
  // A process has room for few sessions, whatever the region has.
  ASSERT_LT(all.size(), kMoreThanFit);
  for (std::uint64_t i = 0; i < kMoreThanFit; ++i) {
    EXPECT_TRUE(refused(region.connect(), Errc::kTooManySessions));
  }
  all.pop_back();
  auto session = region.connect();
  EXPECT_TRUE(session.has_value()) << session.error().message();
  EXPECT_EQ(region.audit().violations, 0U);
}

}  // namespace
}  // namespace allot
