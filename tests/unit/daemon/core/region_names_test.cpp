// Names: publish, find, unpublish.

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/refusal.hpp"
#include "tests/unit/daemon/core/names_fixture.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using region::bin_of;
using region::kGranuleBytes;
using test::CoreRegion;
using test::refused;

TEST_F(Names, PublishMovesTheBlockToTheServiceAndEntersTheName) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  EXPECT_EQ(word(), kKept) << "exposed stays, offered goes, the generation is the same";
  const region::NameEntry& entry = region.view().name(0);
  EXPECT_EQ(entry.state.load_acquire(), 1U);
  EXPECT_EQ(entry.handle, handle.bits());
  EXPECT_EQ(entry.size_bytes, 256U);
  EXPECT_EQ(entry.published_unix_ns, region.now_ns);
  EXPECT_EQ(entry.uid, 1000U);
  EXPECT_EQ(protocol::text(entry.name), "camera");
  EXPECT_EQ(region->session(publisher)->granted_bytes, kGranuleBytes) << "the span stays charged";
}

TEST_F(Names, FindGivesTheHandleAndTheBlocksSize) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  const auto found = region->find(reader, "camera");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->handle, handle.bits());
  EXPECT_EQ(found->size_bytes, 256U);
  EXPECT_TRUE(refused(region->find(reader, "camera2"), Errc::kNameUnknown));
  EXPECT_EQ(region->find(reader, "nobody").error().detail, "nobody");
}

TEST_F(Names, LargeBlocksArePublishedWithTheirSpansSize) {
  const std::uint64_t large = region.granted(publisher, 3, 1, 256);
  region.carve_large(large);
  region.word(large).store_release(test::owned_word(publisher, 100, kOfferedFlags));
  ASSERT_TRUE(region->publish(publisher, "frame", region.handle(large), 1));
  EXPECT_EQ(region->find(reader, "frame")->size_bytes, 3 * kGranuleBytes);
}

TEST_F(Names, PublishWantsABlockThatTheSessionOwnsAndOffers) {
  const Handle handle = region.handle(span);
  auto& own = region.word(span);
  const auto errc_of = [&](std::uint32_t with_word) {
    own.store_release(with_word);
    const auto published = region->publish(publisher, "camera", handle, 1);
    EXPECT_EQ(own.load_acquire(), with_word) << "a refusal changes nothing";
    return published ? Errc::kOk : published.error().errc();
  };
  EXPECT_EQ(errc_of(test::owned_word(publisher, 100, OwnWord::kExposed)), Errc::kNotOffered);
  EXPECT_EQ(errc_of(test::owned_word(reader, 100, kOfferedFlags)), Errc::kNotOwner);
  EXPECT_EQ(errc_of(test::owned_word(publisher, 101, kOfferedFlags)), Errc::kStaleHandle);
  EXPECT_EQ(errc_of(OwnWord::make(OwnWord::kFree, 100)), Errc::kNotOwner);
  EXPECT_EQ(errc_of(OwnWord::make(OwnWord::kFreed, 100)), Errc::kNotOwner);
  EXPECT_EQ(errc_of(kKept), Errc::kPublished);
  EXPECT_TRUE(region->names().empty());
}

TEST_F(Names, PublishRefusesHandlesThatNameNoBlock) {
  const auto errc_of = [&](std::uint32_t tag, std::uint64_t offset) {
    return region->publish(publisher, "x", Handle::make(tag, offset, 100), 1).error().errc();
  };
  const std::uint64_t base = span * kGranuleBytes;
  EXPECT_EQ(errc_of(test::kRegionTag + 1, base), Errc::kForeignRegion);
  EXPECT_EQ(errc_of(test::kRegionTag, base + 16), Errc::kStaleHandle) << "inside a block";
  EXPECT_EQ(errc_of(test::kRegionTag, base + kGranuleBytes), Errc::kNotInRegion)
      << "above the high-water mark";
  EXPECT_EQ(errc_of(test::kRegionTag, (std::uint64_t{1} << 40) - 16), Errc::kNotInRegion);
  (void)region.granted(publisher, 1);
  EXPECT_EQ(errc_of(test::kRegionTag, base + kGranuleBytes), Errc::kStaleHandle) << "not carved";
}

TEST_F(Names, PublishRefusesBadTakenAndTooManyNames) {
  EXPECT_TRUE(refused(publish(""), Errc::kBadName));
  EXPECT_TRUE(refused(publish("with space"), Errc::kBadName));
  EXPECT_TRUE(refused(publish(std::string(64, 'x')), Errc::kBadName));
  ASSERT_TRUE(publish(std::string(63, 'x')));
  ASSERT_TRUE(publish("camera", 1));
  const auto taken = publish("camera", 2);
  ASSERT_TRUE(refused(taken, Errc::kNameTaken));
  EXPECT_EQ(taken.error().detail, "camera");
  EXPECT_EQ(word(2), test::owned_word(publisher, 100, kOfferedFlags));
}

TEST(NameLimit, CountsHiddenNamesTooAndNamesTheLimit) {
  Limits limits;
  limits.max_names = 1;
  CoreRegion region(64, limits);
  const std::uint32_t session = region.open_session();
  const std::uint64_t span = region.granted(session);
  region.carve(span, bin_of(256));
  for (std::uint32_t i = 0; i < 2; ++i) {
    region.word(span, i).store_release(test::owned_word(session, 100, kOfferedFlags));
  }
  const Handle first = region.handle(span, 0);
  ASSERT_TRUE(region->publish(session, "a", first, 1));
  const auto second = region->publish(session, "b", region.handle(span, 1), 1);
  ASSERT_TRUE(refused(second, Errc::kTooManyNames));
  EXPECT_EQ(second.error().detail, "max_names = 1");
  ASSERT_TRUE(region->find(session, "a"));
  ASSERT_TRUE(region->unpublish(session, "a", first, false, 1));
  EXPECT_TRUE(
      refused(region->publish(session, "b", region.handle(span, 1), 1), Errc::kTooManyNames));
  ASSERT_TRUE(region->unpin(session, first, 1));
  EXPECT_TRUE(region->publish(session, "b", region.handle(span, 1), 1));
}

TEST_F(Names, UnpublishFreesABlockThatNobodyPins) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  ASSERT_TRUE(unpublish("camera", handle));
  EXPECT_EQ(word(), kFreedAfterPublish) << "freed with a new generation: its handle is stale";
  EXPECT_NE(region.view().span_ledger(span).hint.load_acquire(), 0U) << "its heap can find it";
  EXPECT_EQ(region.view().name(0).state.load_acquire(), 0U);
  EXPECT_TRUE(refused(region->find(reader, "camera"), Errc::kNameUnknown));
  EXPECT_EQ(region->totals().reclaimed_blocks, 1U);
  EXPECT_TRUE(refused(unpublish("camera", handle), Errc::kNameUnknown));
}

TEST_F(Names, UnpublishWantsThePublishersUidAndTheHandle) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  EXPECT_TRUE(refused(region->unpublish(reader, "camera", handle, false, 1), Errc::kNotOwner));
  EXPECT_TRUE(refused(unpublish("camera", region.handle(span, 1)), Errc::kStaleHandle));
  EXPECT_TRUE(refused(unpublish("other", handle), Errc::kNameUnknown));
  EXPECT_EQ(word(), kKept);
  const std::uint32_t same_uid = region.open_session(1000);
  EXPECT_TRUE(region->unpublish(same_uid, "camera", handle, false, 1));
}

TEST_F(Names, TheAdministratorUnpublishesAnybodysName) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  ASSERT_TRUE(region->unpublish(0, "camera", handle, true, 1));
  EXPECT_EQ(word(), kFreedAfterPublish);
}

TEST_F(Names, ANameIsFreeForAnotherBlockAtOnceAfterUnpublish) {
  const Handle first = region.handle(span, 0);
  const Handle second = region.handle(span, 1);
  ASSERT_TRUE(publish("camera", 0));
  ASSERT_TRUE(region->find(reader, "camera"));
  ASSERT_TRUE(unpublish("camera", first));
  ASSERT_TRUE(publish("camera", 1));
  ASSERT_EQ(region->find(reader, "camera")->handle, second.bits());
  ASSERT_TRUE(unpin(reader, first)) << "the hidden one";
  EXPECT_EQ(word(0), kFreedAfterPublish);
  EXPECT_EQ(word(1), kKept);
}

TEST_F(Names, EntriesOfTheTableComeBack) {
  for (std::uint32_t i = 0; i < region::kNameLimit + 1; ++i) {
    region.word(span).store_release(test::owned_word(publisher, i, kOfferedFlags));
    const Handle handle = region.handle(span);
    ASSERT_TRUE(publish("camera"));
    EXPECT_EQ(region->names().at("camera").slot, 0U);
    ASSERT_TRUE(unpublish("camera", handle));
  }
}

TEST_F(Names, OutliveTheirPublisher) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  region.recover(publisher);
  EXPECT_EQ(region.descriptor(span).state, region::SpanState::kOrphan);
  EXPECT_EQ(word(), kKept);
  EXPECT_EQ(word(1), OwnWord::make(OwnWord::kFreed, 101)) << "an offer does not";
  EXPECT_EQ(region->find(reader, "camera")->handle, handle.bits());
  EXPECT_EQ(region->uid_granted_bytes(1000), kGranuleBytes) << "charged to who allocated it";
}

TEST_F(Names, ADamagedCarveWordKeepsNoBlockFromBeingFreed) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  region.view().span_ledger(span).carve.store_release(~std::uint64_t{0});
  ASSERT_TRUE(unpublish("camera", handle));
  EXPECT_EQ(word(), kFreedAfterPublish);
}

TEST_F(Names, ABlockThatAMemberStoleFromTheServiceIsNotFreed) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  region.word(span).store_release(test::owned_word(reader, 100));
  EXPECT_TRUE(unpublish("camera", handle));
  EXPECT_EQ(word(), test::owned_word(reader, 100));
}

TEST_F(Names, ABlockWhoseGenerationAMemberChangedIsFreedAllTheSame) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  region.recover(publisher);
  region.word(span).store_release(test::owned_word(OwnWord::kKept, 99));
  ASSERT_TRUE(region->unpublish(0, "camera", handle, true, region.now_ns));
  EXPECT_EQ(region->orphan_count(), 0U);
}

// The publisher takes its word back by force, returns the span, and another session publishes from
// there: the first name must not free the second one's block, nor leave it without a name.
TEST_F(Names, AStolenBlocksNameHasNoPowerOverWhatLiesThereNext) {
  const Handle stolen = region.handle(span);
  ASSERT_TRUE(publish("stolen"));
  region.carve(span, bin_of(256), 200);
  ASSERT_TRUE(region->return_spans(publisher, {span}, 1));
  ASSERT_EQ(region.granted(reader), span);
  region.carve(span, bin_of(256), 300);
  region.word(span).store_release(test::owned_word(reader, 300, kOfferedFlags));
  ASSERT_TRUE(region->publish(reader, "honest", region.handle(span), 1));
  const std::uint32_t kept = word();
  ASSERT_TRUE(unpublish("stolen", stolen));
  EXPECT_EQ(word(), kept);
  region.recover(publisher);
  EXPECT_EQ(word(), kept);
}

TEST_F(Names, OfSessionsThatAreNotLiveAreRefused) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera", 1));
  region->detach(publisher);
  EXPECT_TRUE(refused(region->publish(publisher, "x", handle, 1), Errc::kUnknownSession));
  EXPECT_TRUE(refused(region->find(publisher, "camera"), Errc::kUnknownSession));
  EXPECT_TRUE(refused(unpublish("camera", region.handle(span, 1)), Errc::kUnknownSession));
}

}  // namespace
}  // namespace allot::core
