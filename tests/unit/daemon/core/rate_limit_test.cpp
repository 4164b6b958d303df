// The token bucket of a connection.

#include <gtest/gtest.h>

#include "daemon/core/service.hpp"
#include "tests/support/pure_daemon.hpp"

namespace allot::core {
namespace {

namespace p = protocol;
using test::PureDaemon;

struct Rate : PureDaemon {
  Rate() {
    limits.message_burst = 3;
    limits.messages_per_second = 10;
    add_region(limits, {});
    (void)ask_for<p::Welcome>(connection, hello("other"));
    now.monotonic_ns += 1'000'000'000;  // until here another region's limits held
  }
  bool served() {
    const auto answer = ask(connection, p::Unpin{});
    return static_cast<Errc>(std::get<p::Failure>(*answer).errc) != Errc::kRateLimit;
  }
  ConnectionId connection = connect();
};

TEST_F(Rate, ABurstIsServedAndThenNoMoreThanTheRate) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(served()) << i;
  EXPECT_FALSE(served());
  now.monotonic_ns += 99'000'000;
  EXPECT_FALSE(served());
  now.monotonic_ns += 2'000'000;
  EXPECT_TRUE(served()) << "a tenth of a second, one message";
  EXPECT_FALSE(served());
  now.monotonic_ns += 3'600'000'000'000;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(served()) << "no more than the burst is saved up";
  EXPECT_FALSE(served());
}

TEST_F(Rate, IsNoMatterOfTheWallClock) {
  while (served()) {
  }
  now.unix_ns += 3'600'000'000'000;
  EXPECT_FALSE(served()) << "an hour set forward";
  now.unix_ns = 1;
  now.monotonic_ns += 100'000'000;
  EXPECT_TRUE(served()) << "set back";
}

TEST_F(Rate, OfOneConnectionIsNotAnothers) {
  for (int i = 0; i < 4; ++i) (void)served();
  EXPECT_FALSE(served());
  const ConnectionId other = connect();
  (void)ask_for<p::Welcome>(other, hello("other"));
  EXPECT_EQ(errc_of(other, p::Unpin{}), Errc::kNameUnknown);
}

TEST_F(Rate, AOneWayMessageBeyondItIsNotAnswered) {
  for (int i = 0; i < 4; ++i) (void)served();
  EXPECT_FALSE(ask(connection, p::FreedElsewhere{}));
}

}  // namespace
}  // namespace allot::core
