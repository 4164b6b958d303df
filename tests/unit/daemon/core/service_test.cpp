// The conversation of a session, from its first grant to its end.

#include <vector>

#include <gtest/gtest.h>

#include "daemon/core/service.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/pure_daemon.hpp"

namespace allot::core {
namespace {

namespace p = protocol;
using detail::OwnWord;
using region::kGranuleBytes;
using test::PureDaemon;

using Conversation = PureDaemon;

TEST_F(Conversation, ASpanGoesThereAndBack) {
  const auto [connection, welcome] = join();
  const auto granted = ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1});
  EXPECT_EQ(errc_of(connection, p::ReturnSpan{granted.first + 1}), Errc::kNotOwner);
  (void)ask_for<p::Done>(connection, p::ReturnSpan{granted.first});
  EXPECT_EQ(errc_of(connection, p::ReturnSpan{granted.first}), Errc::kNotOwner);
}

TEST_F(Conversation, ABlockIsPublishedFoundUnpinnedAndUnpublished) {
  const auto [publisher, mine] = join();
  const auto [reader, theirs] = join(1001);
  const Handle handle = offered_block(publisher, mine.session);
  p::Publish publish{handle.bits(), {}};
  p::set_text(publish.name, "camera");
  p::Find find;
  p::set_text(find.name, "camera");
  p::Unpublish unpublish{handle.bits(), publish.name};
  EXPECT_EQ(errc_of(reader, find), Errc::kNameUnknown);
  (void)ask_for<p::Done>(publisher, publish);
  const auto found = ask_for<p::Found>(reader, find);
  EXPECT_EQ(found.handle, handle.bits());
  EXPECT_EQ(found.size_bytes, 256U);
  EXPECT_EQ(errc_of(reader, unpublish), Errc::kNotOwner);
  (void)ask_for<p::Done>(publisher, unpublish);
  EXPECT_EQ(errc_of(reader, find), Errc::kNameUnknown);
  (void)ask_for<p::Done>(reader, p::Unpin{handle.bits()});
  EXPECT_EQ(errc_of(reader, p::Unpin{handle.bits()}), Errc::kNameUnknown);
}

TEST_F(Conversation, FreedElsewhereReachesTheOrphan) {
  const auto [owner, mine] = join();
  const auto [user, theirs] = join();
  const Handle handle = offered_block(owner, mine.session);
  auto& word = memories.front()->view().word(handle.offset_bytes() / kGranuleBytes, 0);
  word.store_release(test::owned_word(theirs.session, 5, OwnWord::kExposed));
  Service::image_gone(*service.session_of(owner));
  (void)recover();
  EXPECT_EQ(core().orphan_count(), 1U);
  word.store_release(OwnWord::make(OwnWord::kFreed, 6));
  EXPECT_FALSE(ask(user, p::FreedElsewhere{handle.offset_bytes() / kGranuleBytes}));
  EXPECT_EQ(core().orphan_count(), 0U);
}

TEST_F(Conversation, ByeIsAnsweredAndTakesNothing) {
  const auto [connection, welcome] = join();
  (void)ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1});
  (void)ask_for<p::HeapAttached>(connection, p::AttachHeap{});
  (void)ask_for<p::Done>(connection, p::Bye{});
  EXPECT_EQ(core().totals().granted_bytes, kGranuleBytes);
  Service::image_gone(*service.session_of(connection));
  (void)recover();
  EXPECT_EQ(core().totals().killed_heaps, 0U);
}

// --- the end of a session ---

using SessionEnd = PureDaemon;

TEST_F(SessionEnd, AClosedConnectionDetachesAndTakesNothing) {
  const auto [connection, welcome] = join();
  (void)ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1});
  service.close_connection(connection);
  EXPECT_FALSE(service.recovery_pending());
  EXPECT_EQ(core().session(welcome.session)->state, region::SessionState::kDetached);
  EXPECT_EQ(core().totals().granted_bytes, kGranuleBytes);
  Service::image_gone({&core(), welcome.session, welcome.incarnation});
  std::vector<SessionKey> ended;
  (void)recover(&ended);
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_EQ(ended[0].id, welcome.session);
  EXPECT_EQ(ended[0].incarnation, welcome.incarnation);
  EXPECT_EQ(ended[0].region, &core());
  EXPECT_EQ(core().totals().granted_bytes, 0U);
}

TEST_F(SessionEnd, ANoticeAboutAnEarlierIncarnationIsIgnored) {
  const auto [connection, welcome] = join();
  Service::image_gone({&core(), welcome.session, welcome.incarnation - 1});
  Service::image_gone({&core(), welcome.session + 1, 1});
  EXPECT_FALSE(service.recovery_pending());
}

TEST_F(SessionEnd, TheConnectionIsHeardNoMore) {
  const auto [connection, welcome] = join();
  Service::image_gone(*service.session_of(connection));
  EXPECT_EQ(errc_of(connection, p::GrantRequest{1, 1, 1024, 1}), Errc::kUnknownSession);
  (void)recover();
  EXPECT_FALSE(service.session_of(connection));
  EXPECT_EQ(errc_of(connection, p::ReturnSpan{0}), Errc::kUnknownSession);
  service.close_connection(connection);
}

TEST_F(SessionEnd, TheConnectionHasNoPartInWhoeverGetsTheIdNext) {
  const auto [connection, welcome] = join();
  Service::image_gone(*service.session_of(connection));
  (void)recover();
  std::uint32_t next = 0;
  while (next != welcome.session) {
    const auto ticket = core().open_session({1, 1, 1}, "", 1);
    ASSERT_TRUE(ticket);
    next = ticket->id;
    if (next == welcome.session) break;
    Service::image_gone({&core(), ticket->id, ticket->incarnation});
    (void)recover();
  }
  EXPECT_FALSE(service.session_of(connection));
  EXPECT_EQ(errc_of(connection, p::AttachHeap{}), Errc::kUnknownSession);
  service.close_connection(connection);
  EXPECT_EQ(core().session(next)->state, region::SessionState::kLive);
}

TEST_F(Conversation, DelaysAreNoMatterOfTheWallClock) {
  const auto [connection, welcome] = join();
  const auto first = ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1}).first;
  now.unix_ns += 3'600'000'000'000;
  (void)ask_for<p::Done>(connection, p::ReturnSpan{first});
  const std::uint64_t due_ns = now.monotonic_ns + core().limits().punch_delay_ms * 1'000'000;
  EXPECT_TRUE(core().next_punch(1, due_ns - 1).empty());
  EXPECT_FALSE(core().next_punch(1, due_ns).empty());
}

}  // namespace
}  // namespace allot::core
