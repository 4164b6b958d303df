// Hello, and peers who do not keep to the protocol.

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/core/service.hpp"
#include "tests/support/pure_daemon.hpp"

namespace allot::core {
namespace {

namespace p = protocol;
using test::PureDaemon;
using testing::AllOf;
using testing::HasSubstr;

using Hello = PureDaemon;

TEST_F(Hello, IsAnsweredByAWelcomeThatCarriesTheDescriptors) {
  const ConnectionId connection = connect();
  const Outcome outcome = handle(connection, hello(), 99);
  ASSERT_EQ(outcome.sends.size(), 1U);
  const Send& send = outcome.sends[0];
  EXPECT_EQ(send.message.request, 99U);
  const auto& welcome = std::get<p::Welcome>(send.message.body);
  EXPECT_EQ(welcome.session, region::kFirstSession);
  EXPECT_EQ(welcome.region_tag, 1U);
  EXPECT_EQ(welcome.granules, 64U);
  EXPECT_EQ(welcome.session_quota_bytes, limits.session_quota_bytes);
  ASSERT_TRUE(send.welcome);
  EXPECT_EQ(send.welcome->region, &core());
  EXPECT_EQ(send.welcome->id, welcome.session);
  EXPECT_EQ(send.welcome->incarnation, welcome.incarnation);
  EXPECT_EQ(service.session_of(connection)->id, welcome.session);
  EXPECT_FALSE(outcome.drop);
}

TEST_F(Hello, TheSecondIsRefusedAndTheSessionGoesOn) {
  const auto [connection, welcome] = join();
  EXPECT_EQ(errc_of(connection, hello()), Errc::kSecondHello);
  EXPECT_EQ(core().session_count(), 1U);
  (void)ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1});
}

TEST_F(Hello, WithAnotherLayoutIsRefusedWithAdvice) {
  p::Hello other = hello();
  other.fingerprint ^= 1;
  const ConnectionId connection = connect();
  const auto failure = ask_for<p::Failure>(connection, other);
  EXPECT_EQ(static_cast<Errc>(failure.errc), Errc::kLayoutMismatch);
  EXPECT_THAT(std::string(p::text(failure.detail)), HasSubstr("rebuild"));
  EXPECT_EQ(core().session_count(), 0U);
  EXPECT_FALSE(service.session_of(connection));
}

TEST_F(Hello, ToARegionThatIsNotServedIsRefusedByName) {
  const auto failure = ask_for<p::Failure>(connect(), hello("nowhere"));
  EXPECT_EQ(static_cast<Errc>(failure.errc), Errc::kUnknownRegion);
  EXPECT_EQ(p::text(failure.detail), "'nowhere'");
}

TEST_F(Hello, OfAUserWhomThePolicyDoesNotNameIsRefused) {
  add_region(limits, {{1000}, {500}});
  const auto allowed = [&](uid_t uid, gid_t gid) {
    const auto answer = ask(service.open_connection({1, uid, gid}), hello("other"));
    return std::holds_alternative<p::Welcome>(*answer);
  };
  EXPECT_TRUE(allowed(1000, 1));
  EXPECT_TRUE(allowed(1, 500));
  EXPECT_FALSE(allowed(1, 1));
  EXPECT_FALSE(allowed(500, 1000)) << "a uid is not a gid";
  const auto failure = ask_for<p::Failure>(service.open_connection({1, 7, 1}), hello("other"));
  EXPECT_EQ(static_cast<Errc>(failure.errc), Errc::kNotAllowed);
  EXPECT_EQ(p::text(failure.detail), "uid 7 in region 'other'");
}

TEST_F(Hello, OpensASessionInTheRegionItNames) {
  add_region(limits, {});
  (void)ask_for<p::Welcome>(connect(), hello("other"));
  EXPECT_EQ(service.find_region("default")->session_count(), 0U);
  EXPECT_EQ(service.find_region("other")->session_count(), 1U);
  EXPECT_EQ(service.find_region("nowhere"), nullptr);
}

TEST_F(Hello, BeforeItAllElseIsRefusedButTheConnectionStays) {
  const ConnectionId connection = connect();
  const p::Body before[] = {p::GrantRequest{1, 1, 1024, 1},
                            p::ReturnSpan{},
                            p::AttachHeap{},
                            p::Publish{},
                            p::Unpublish{},
                            p::Find{},
                            p::Unpin{},
                            p::Bye{}};
  for (const p::Body& body : before) EXPECT_EQ(errc_of(connection, body), Errc::kUnknownSession);
  EXPECT_FALSE(ask(connection, p::FreedElsewhere{})) << "one-way: never answered";
  (void)ask_for<p::Welcome>(connection, hello());
}

// --- bad peers ---

using BadPeer = PureDaemon;

TEST_F(BadPeer, WhoSendsNoMessageIsToldWhyAndDropped) {
  const auto [connection, welcome] = join();
  p::Wire wire = p::encode({7, p::Bye{}});
  wire[0] = std::byte{0};
  const Outcome outcome = service.handle(connection, wire, now);
  ASSERT_TRUE(outcome.drop);
  EXPECT_EQ(*outcome.drop, Errc::kBadMessage);
  EXPECT_FALSE(outcome.drop->detail.empty());
  ASSERT_EQ(outcome.sends.size(), 1U);
  const auto& failure = std::get<p::Failure>(outcome.sends[0].message.body);
  EXPECT_EQ(static_cast<Errc>(failure.errc), Errc::kBadMessage);
  EXPECT_EQ(p::text(failure.detail), outcome.drop->detail);
}

TEST_F(BadPeer, OfAnotherVersionIsToldBothVersions) {
  p::Wire wire = p::encode({7, hello()});
  wire[4] = std::byte{1};
  const Outcome outcome = service.handle(connect(), wire, now);
  ASSERT_TRUE(outcome.drop);
  EXPECT_EQ(*outcome.drop, Errc::kProtocolVersion);
  EXPECT_THAT(outcome.drop->detail, AllOf(HasSubstr("version 1"), HasSubstr("this side 3")));
}

TEST_F(BadPeer, WhoSendsWhatOnlyTheDaemonSendsIsDropped) {
  const p::Body daemons[] = {p::Welcome{},      p::Challenge{}, p::Granted{},
                             p::HeapAttached{}, p::Found{},     p::Done{},
                             p::PeerGone{},     p::Failure{},   p::Reserved{}};
  for (const p::Body& body : daemons) {
    const auto [connection, welcome] = join();
    const Outcome outcome = handle(connection, body);
    ASSERT_TRUE(outcome.drop) << body.index();
    EXPECT_EQ(*outcome.drop, Errc::kBadMessage);
  }
}

TEST_F(BadPeer, DroppedHurtsNobodyElse) {
  const auto [bad, first] = join();
  const auto [good, second] = join();
  (void)service.handle(bad, std::vector<std::byte>(5), now);
  service.close_connection(bad);
  (void)ask_for<p::Granted>(good, p::GrantRequest{1, 1, 1024, 1});
}

TEST_F(BadPeer, MessagesOfAForgottenConnectionAreIgnored) {
  const auto [connection, welcome] = join();
  service.close_connection(connection);
  const Outcome outcome = handle(connection, p::GrantRequest{1, 1, 1024, 1});
  EXPECT_TRUE(outcome.sends.empty());
  EXPECT_FALSE(outcome.commit);
  EXPECT_FALSE(outcome.drop);
  service.close_connection(connection);
}

}  // namespace
}  // namespace allot::core
