// What bounds the work of one message and the share of one user, so that neither keeps the others
// from the daemon.

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/core/extents.hpp"
#include "tests/support/core_region.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using test::CoreRegion;

protocol::GrantRequest request_of(std::uint32_t granules, std::uint32_t count, std::uint32_t words,
                                  std::uint32_t align_granules = 1) {
  return {granules, count, words, align_granules};
}

TEST(Bounds, OfAGrantsSpansWordsAndAlignment) {
  CoreRegion region(1U << 16);
  const std::uint32_t session = region.open_session();
  const auto errc = [&](const protocol::GrantRequest& request) {
    const auto plan = region->plan_grant(session, request, test::kPlenty);
    return plan ? Errc::kOk : plan.error().errc();
  };
  EXPECT_EQ(errc(request_of(1, kMaxSpansPerGrant, 1024)), Errc::kOk);
  EXPECT_EQ(errc(request_of(1, kMaxSpansPerGrant + 1, 1024)), Errc::kBadArgument);
  EXPECT_EQ(errc(request_of(64, 1, region::kMaxWordsPerSpan)), Errc::kOk);
  EXPECT_EQ(errc(request_of(64, 1, region::kMaxWordsPerSpan + region::kWordsPerUnit)),
            Errc::kBadArgument);
  EXPECT_EQ(errc(request_of(1, 1, 1024, kMaxAlignGranules)), Errc::kOk);
  EXPECT_EQ(errc(request_of(1, 1, 1024, kMaxAlignGranules * 2)), Errc::kBadAlignment);
}

TEST(Bounds, OwnWordsCountToWhatTheMachineMustHave) {
  Limits limits;
  limits.available_floor_bytes = 0;
  CoreRegion region(64, limits);
  const std::uint32_t session = region.open_session();
  constexpr std::uint64_t kNeeded = region::kGranuleBytes + std::uint64_t{1024} * 4;
  EXPECT_FALSE(region->plan_grant(session, request_of(1, 1, 1024), kNeeded - 1));
  EXPECT_TRUE(region->plan_grant(session, request_of(1, 1, 1024), kNeeded));
}

TEST(Bounds, OneUserLeavesHeapsForOthers) {
  Limits limits;
  limits.max_heaps_per_uid = 2;
  CoreRegion region(64, limits);
  const std::uint32_t first = region.open_session(1000);
  const std::uint32_t second = region.open_session(1000);
  const std::uint32_t other = region.open_session(1001);
  (void)region.attached_heap(first);
  (void)region.attached_heap(second);
  const auto refused = region->attach_heap(first);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Errc::kTooManyHeaps);
  EXPECT_EQ(refused.error().detail, "max_heaps_per_uid = 2");
  EXPECT_TRUE(region->attach_heap(other));
  region.recover(second);
  EXPECT_TRUE(region->attach_heap(first));
}

TEST(Bounds, OneUserLeavesNamesForOthers) {
  Limits limits;
  limits.max_names_per_uid = 1;
  CoreRegion region(64, limits);
  const auto publish = [&](std::uint32_t session, std::uint64_t span, std::uint32_t index,
                           const std::string& name) {
    region.word(span, index)
        .store_release(test::owned_word(session, 100, OwnWord::kExposed | OwnWord::kOffered));
    const auto done = region->publish(session, name, region.handle(span, index), 1);
    return done ? std::string() : done.error().detail;
  };
  const auto carved_span = [&](std::uint32_t session) {
    const std::uint64_t span = region.granted(session);
    region.carve(span, region::bin_of(256));
    return span;
  };
  const std::uint32_t mine = region.open_session(1000);
  const std::uint64_t span = carved_span(mine);
  EXPECT_EQ(publish(mine, span, 0, "a"), "");
  EXPECT_EQ(publish(mine, span, 1, "b"), "max_names_per_uid = 1");
  const std::uint32_t other = region.open_session(1001);
  EXPECT_EQ(publish(other, carved_span(other), 0, "b"), "");
  // A name that is hidden but pinned counts as well.
  ASSERT_TRUE(region->find(other, "a"));
  ASSERT_TRUE(region->unpublish(mine, "a", region.handle(span, 0), false, 1));
  EXPECT_EQ(publish(mine, span, 2, "c"), "max_names_per_uid = 1");
  ASSERT_TRUE(region->unpin(other, region.handle(span, 0), 1));
  EXPECT_EQ(publish(mine, span, 2, "c"), "");
}

TEST(Bounds, AnAlignmentThatFitsNowhereTakesALongerExtent) {
  // Free: 200 extents of 3 granules, none of which holds 2 that begin at a multiple of 4.
  ExtentMap map(2000);
  std::vector<std::uint32_t> odd;
  (void)map.allocate(1, 1, 1);
  for (int i = 0; i < 200; ++i) {
    odd.push_back(map.allocate(3, 1, 1).value());
    (void)map.allocate(1, 1, 1);
  }
  for (const std::uint32_t first : odd) {
    ASSERT_EQ(first % 4, 1U);
    map.release(first);
  }
  EXPECT_EQ(map.allocate(2, 1, 4), std::optional<std::uint32_t>(804));
  EXPECT_TRUE(map.is_consistent());
}

TEST(Bounds, LargeBlocksWhoseMessageWasLostAreTakenWithOneThatWasHeardOf) {
  CoreRegion region(64);
  const std::uint32_t owner = region.open_session();
  std::vector<std::uint64_t> spans;
  for (int i = 0; i < 3; ++i) {
    spans.push_back(region.granted(owner, 2));
    region.carve_large(spans.back());
  }
  for (const std::uint64_t span : {spans[0], spans[1]}) {
    region.word(span).store_release(OwnWord::make(OwnWord::kFreed, 100));
    region.view().span_ledger(span).hint.store_release(1);
  }
  region->note_freed(spans[0], region.now_ns);
  const std::uint64_t delay_ns = region->limits().large_reclaim_delay_ms * 1'000'000;
  for (int i = 1; i <= 4; ++i) region->sweep(region.now_ns + static_cast<unsigned>(i) * delay_ns);
  const auto owner_of = [&](std::uint64_t span) {
    return OwnWord::owner(region.word(span).load_acquire());
  };
  EXPECT_EQ(owner_of(spans[0]), OwnWord::kTaken);
  EXPECT_EQ(owner_of(spans[1]), OwnWord::kTaken);
  EXPECT_NE(owner_of(spans[2]), OwnWord::kTaken);
  EXPECT_FALSE(region->sweep_wanted()) << "it sleeps again";
}

TEST(Bounds, ASweepGoesRoundOverManyOrphans) {
  CoreRegion region(1U << 12);
  const std::uint32_t dead = region.open_session();
  const std::uint32_t alive = region.open_session();
  constexpr int kSpans = 200;  // of 4096 words each: more than one sweep looks at
  std::vector<std::uint64_t> spans;
  for (int i = 0; i < kSpans; ++i) {
    spans.push_back(region.granted(dead, 1, 1, 4096));
    region.carve(spans.back(), 0);
    region.word(spans.back()).store_release(test::owned_word(alive, 100));
  }
  region.recover(dead);
  ASSERT_EQ(region->orphan_count(), static_cast<std::uint32_t>(kSpans));
  for (const std::uint64_t span : spans) {
    region.word(span).store_release(OwnWord::make(OwnWord::kFreed, 100));
  }
  region->sweep(region.now_ns);
  EXPECT_GT(region->orphan_count(), 0U) << "a slice";
  for (int i = 0; i < 10; ++i) region->sweep(region.now_ns);
  EXPECT_EQ(region->orphan_count(), 0U);
}

}  // namespace
}  // namespace allot::core
