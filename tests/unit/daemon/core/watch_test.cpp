// Watch and PeerGone.

#include <cstdint>
#include <utility>

#include <gtest/gtest.h>

#include "daemon/core/service.hpp"
#include "tests/support/pure_daemon.hpp"

namespace allot::core {
namespace {

namespace p = protocol;
using test::PureDaemon;

struct Watch : PureDaemon {
  static p::Watch watch_of(const p::Welcome& peer) {
    p::Watch body;
    p::set_text(body.region, "default");
    body.session = peer.session;
    body.incarnation = peer.incarnation;
    return body;
  }
  std::pair<ConnectionId, p::Welcome> peer = join();
};

TEST_F(Watch, TellsEachWatcherOnceThatTheSessionHasEnded) {
  const auto [watcher, welcome] = join();
  const ConnectionId stranger = connect();  // needs no session of its own
  (void)ask_for<p::Done>(watcher, watch_of(peer.second));
  (void)ask_for<p::Done>(watcher, watch_of(peer.second));
  (void)ask_for<p::Done>(stranger, watch_of(peer.second));
  service.close_connection(peer.first);
  EXPECT_TRUE(recover().empty()) << "detached is not gone";
  Service::image_gone({&core(), peer.second.session, peer.second.incarnation});
  const auto sends = recover();
  ASSERT_EQ(sends.size(), 2U);
  EXPECT_EQ(sends[0].to, watcher);
  EXPECT_EQ(sends[1].to, stranger);
  for (const Send& send : sends) {
    EXPECT_EQ(send.message.request, 0U);
    const auto& gone = std::get<p::PeerGone>(send.message.body);
    EXPECT_EQ(gone.session, peer.second.session);
    EXPECT_EQ(gone.incarnation, peer.second.incarnation);
  }
  EXPECT_EQ(errc_of(watcher, watch_of(peer.second)), Errc::kUnknownSession) << "too late";
}

TEST_F(Watch, OfADrainingSessionStillTells) {
  const ConnectionId watcher = connect();
  Service::image_gone(*service.session_of(peer.first));
  (void)ask_for<p::Done>(watcher, watch_of(peer.second));
  EXPECT_EQ(recover().size(), 1U);
}

TEST_F(Watch, OfNobodyIsRefused) {
  const ConnectionId watcher = connect();
  p::Watch wrong = watch_of(peer.second);
  wrong.incarnation += 1;
  EXPECT_EQ(errc_of(watcher, wrong), Errc::kUnknownSession);
  wrong = watch_of(peer.second);
  wrong.session += (std::uint64_t{1} << 32);
  EXPECT_EQ(errc_of(watcher, wrong), Errc::kUnknownSession) << "must not be cut to 32 bits";
  wrong = watch_of(peer.second);
  p::set_text(wrong.region, "nowhere");
  EXPECT_EQ(errc_of(watcher, wrong), Errc::kUnknownRegion);
}

TEST_F(Watch, WantsTheRegionsPermission) {
  add_region(limits, {{1000}, {}});
  p::Watch other = watch_of(peer.second);
  p::set_text(other.region, "other");
  EXPECT_EQ(errc_of(connect(1001), other), Errc::kNotAllowed);
}

TEST_F(Watch, OfAClosedConnectionIsForgotten) {
  const ConnectionId watcher = connect();
  (void)ask_for<p::Done>(watcher, watch_of(peer.second));
  service.close_connection(watcher);
  Service::image_gone(*service.session_of(peer.first));
  EXPECT_TRUE(recover().empty());
}

TEST_F(Watch, IsLimitedPerConnection) {
  Limits many;
  many.max_sessions = many.max_sessions_per_uid = many.message_burst = ~0U;
  add_region(many, {});
  (void)ask_for<p::Done>(peer.first, watch_of(peer.second));
  const auto watch_in_other = [&](std::uint32_t sessions) {
    p::Body last = p::Done{};
    for (std::uint32_t i = 0; i < sessions; ++i) {
      const auto ticket = service.find_region("other")->open_session({1, 1, 1}, "", 1);
      EXPECT_TRUE(ticket);
      p::Watch body{{}, ticket->id, ticket->incarnation};
      p::set_text(body.region, "other");
      last = ask(peer.first, body).value();
    }
    return std::holds_alternative<p::Done>(last);
  };
  EXPECT_TRUE(watch_in_other(4080)) << "every session of a region";
  for (int i = 0; i < 15; ++i) EXPECT_TRUE(ask(peer.first, watch_of(join().second)));
  EXPECT_EQ(errc_of(peer.first, watch_of(join().second)), Errc::kTooManyWatches);
  (void)ask_for<p::Done>(connect(), watch_of(peer.second));
}

}  // namespace
}  // namespace allot::core
