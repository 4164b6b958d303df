// Pins: a published block stays while somebody who found it has not unpinned it.

#include <cstddef>
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/refusal.hpp"
#include "tests/unit/daemon/core/names_fixture.hpp"

namespace allot::core {
namespace {

using detail::OwnWord;
using test::refused;

struct Pins : Names {};

TEST_F(Pins, APinnedBlockStaysUntilItsLastUnpin) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  ASSERT_TRUE(region->find(reader, "camera"));
  ASSERT_TRUE(region->find(publisher, "camera"));
  ASSERT_TRUE(unpublish("camera", handle));
  EXPECT_EQ(region.view().name(0).state.load_acquire(), 0U) << "hidden at once";
  EXPECT_TRUE(refused(region->find(reader, "camera"), Errc::kNameUnknown));
  EXPECT_EQ(region->hidden_names().size(), 1U);
  EXPECT_EQ(word(), kKept);
  ASSERT_TRUE(unpin(reader, handle));
  EXPECT_EQ(word(), kKept) << "the publisher pins it still";
  ASSERT_TRUE(unpin(publisher, handle));
  EXPECT_EQ(word(), kFreedAfterPublish);
  EXPECT_TRUE(region->hidden_names().empty());
}

TEST_F(Pins, ASessionPinsOnceHoweverOftenItFinds) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(region->find(reader, "camera"));
  ASSERT_TRUE(unpin(reader, handle));
  EXPECT_TRUE(refused(unpin(reader, handle), Errc::kNameUnknown));
  ASSERT_TRUE(unpublish("camera", handle));
  EXPECT_EQ(word(), kFreedAfterPublish);
}

TEST_F(Pins, UnpinWithoutAFindIsRefused) {
  const Handle handle = region.handle(span);
  EXPECT_TRUE(refused(unpin(reader, handle), Errc::kNameUnknown));
  ASSERT_TRUE(publish("camera"));
  EXPECT_TRUE(refused(unpin(reader, handle), Errc::kNameUnknown));
}

TEST_F(Pins, TheLastUnpinFreesAnOrphan) {
  const Handle handle = region.handle(span);
  ASSERT_TRUE(publish("camera"));
  ASSERT_TRUE(region->find(reader, "camera"));
  region.recover(publisher);
  ASSERT_TRUE(region->unpublish(0, "camera", handle, true, 1));
  EXPECT_EQ(region.descriptor(span).state, region::SpanState::kOrphan);
  ASSERT_TRUE(unpin(reader, handle));
  EXPECT_EQ(region.descriptor(span), region::SpanDescriptor{});
  EXPECT_EQ(region->totals().granted_bytes, 0U);
  EXPECT_EQ(region->orphan_count(), 0U);
}

TEST_F(Pins, DeathUnpins) {
  const Handle handle = region.handle(span);
  const Handle other = region.handle(span, 1);
  ASSERT_TRUE(publish("hidden", 0));
  ASSERT_TRUE(publish("visible", 1));
  ASSERT_TRUE(region->find(reader, "hidden"));
  ASSERT_TRUE(region->find(reader, "visible"));
  ASSERT_TRUE(unpublish("hidden", handle));
  region.recover(reader);
  EXPECT_EQ(word(0), kFreedAfterPublish);
  EXPECT_EQ(word(1), kKept);
  EXPECT_TRUE(region->names().at("visible").pins.empty());
  ASSERT_TRUE(unpublish("visible", other));
  EXPECT_EQ(word(1), kFreedAfterPublish);
}

TEST_F(Pins, DeathUnpinsInSlicesOfAboutTheBudget) {
  constexpr std::uint32_t kBlocks = 12;
  const std::uint32_t another = region.open_session(1002);
  for (std::uint32_t i = 0; i < kBlocks; ++i) {
    const std::uint64_t large = region.granted(publisher, 1);  // of kDefaultWords
    region.carve_large(large);
    region.word(large).store_release(test::owned_word(publisher, 100, kOfferedFlags));
    const Handle handle = region.handle(large);
    const std::string name = "frame" + std::to_string(i);
    ASSERT_TRUE(region->publish(publisher, name, handle, region.now_ns));
    ASSERT_TRUE(region->find(i % 2 == 0 ? reader : another, name));
    ASSERT_TRUE(region->unpublish(publisher, name, handle, false, region.now_ns));
  }
  region->begin_recovery(reader);
  region->begin_recovery(another);
  std::uint32_t slices = 0;
  for (; region->recovery_pending() && slices < 1000; ++slices) {
    const std::size_t before = region->hidden_names().size();
    const auto ended =
        region->recover_step(std::uint64_t{2} * region::kDefaultWords, region.now_ns);
    EXPECT_LE(before - region->hidden_names().size(), 2U);
    EXPECT_EQ(ended.empty(), region->recovery_pending());
  }
  EXPECT_GE(slices, kBlocks / 2);
  EXPECT_TRUE(region->hidden_names().empty());
  EXPECT_EQ(region->session_count(), 1U);
}

TEST_F(Pins, AnUnpinnedBlockWaitsLikeAnyFreedMemoryBeforeItIsPunched) {
  const std::uint64_t large = region.granted(publisher, 2, 1, 256);
  region.carve_large(large);
  region.word(large).store_release(test::owned_word(publisher, 100, kOfferedFlags));
  const Handle handle = region.handle(large);
  ASSERT_TRUE(region->publish(publisher, "frame", handle, region.now_ns));
  ASSERT_TRUE(region->find(reader, "frame"));
  ASSERT_TRUE(region->unpublish(publisher, "frame", handle, false, region.now_ns));
  ASSERT_TRUE(unpin(reader, handle));
  region->sweep(region.now_ns);
  EXPECT_EQ(OwnWord::owner(region.word(large).load_acquire()), OwnWord::kFreed)
      << "its session has large_reclaim_delay_ms to collect it";
}

}  // namespace
}  // namespace allot::core
