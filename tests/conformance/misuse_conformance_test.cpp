// Pointers and handles that do not name what their user thinks: each is told apart, changes nothing,
// and leaves the region in order.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include <allot/detail/fast_heap.hpp>
#include <allot/fast.hpp>
#include <allot/session.hpp>

#include "shared/region/geometry.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

using region::kGranuleBytes;
using test::refused;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class Misuse : public test::Conformance {
 protected:
  /// Base of the region's data in this session's mapping.
  std::byte* data() {
    EXPECT_EQ(session().free(session().allocate(16)), Errc::kOk);  // makes this thread's heap
    return FastAccess::heap(session()).data;
  }
  Handle handle_at(std::uint64_t offset_bytes, Handle like) {
    return Handle::make(like.region_tag(), offset_bytes, like.generation());
  }
  void expect_all_refuse(Handle handle, Errc wanted) {
    EXPECT_TRUE(refused(session().resolve(handle), wanted));
    EXPECT_TRUE(refused(session().adopt(handle), wanted));
    EXPECT_TRUE(refused(session().retract(handle), wanted));
  }
};
ALLOT_CONFORMANCE_SUITE(Misuse);

TEST_P(Misuse, FreeingNothingIsFine) { EXPECT_EQ(session().free(nullptr), Errc::kOk); }

TEST_P(Misuse, ADoubleFreeIsNamedHoweverTheBlockWasUsed) {
  Session& other = add_session();
  for (const std::size_t size :
       {std::size_t{16}, std::size_t{5000}, std::size_t{40'000}, std::size_t{80'000}, kMiB}) {
    void* const plain = session().allocate(size);
    EXPECT_EQ(session().free(plain), Errc::kOk);
    EXPECT_EQ(session().free(plain), Errc::kDoubleFree) << size;

    void* const exposed = session().allocate(size);
    (void)session().handle_of(exposed).value();
    EXPECT_EQ(session().free(exposed), Errc::kOk);
    EXPECT_EQ(session().free(exposed), Errc::kDoubleFree) << size;

    const Handle handle = session().offer(session().allocate(size)).value();
    void* const there = other.adopt(handle).value();
    EXPECT_EQ(other.free(there), Errc::kOk);
    EXPECT_EQ(other.free(there), Errc::kDoubleFree) << size << ", freed into another's span";
  }
}

TEST_P(Misuse, ADoubleFreePutsTheBlockInOnce) {
  void* const block = session().allocate(64);
  EXPECT_EQ(session().free(block), Errc::kOk);
  EXPECT_EQ(session().free(block), Errc::kDoubleFree);
  void* const first = session().allocate(64);
  void* const second = session().allocate(64);
  EXPECT_NE(first, second);
  EXPECT_EQ(session().free(first), Errc::kOk);
  EXPECT_EQ(session().free(second), Errc::kOk);
}

TEST_P(Misuse, AddressesOutsideTheRegionAreNotInIt) {
  int on_stack = 0;
  const auto on_heap = std::make_unique<int>(0);
  std::byte* const base = data();
  std::byte* const end = base + (std::size_t{4} << 30);  // RegionLimits' default size
  for (void* const address : std::initializer_list<void*>{&on_stack, on_heap.get(), base - 16, end,
                                                          end + kGranuleBytes}) {
    EXPECT_EQ(session().free(address), Errc::kNotInRegion);
    EXPECT_EQ(session().usable_size(address), 0U);
    EXPECT_TRUE(refused(session().handle_of(address), Errc::kNotInRegion));
    EXPECT_TRUE(refused(session().offer(address), Errc::kNotInRegion));
  }
}

TEST_P(Misuse, AddressesInsideABlockAreInterior) {
  for (const std::size_t size : {std::size_t{48}, std::size_t{5000}, kMiB}) {
    auto* const block = static_cast<std::byte*>(session().allocate(size));
    for (const std::size_t offset : {std::size_t{1}, std::size_t{8}, std::size_t{16}, size - 1}) {
      EXPECT_EQ(session().free(block + offset), Errc::kInteriorPointer) << size << "+" << offset;
      EXPECT_TRUE(refused(session().handle_of(block + offset), Errc::kInteriorPointer));
      EXPECT_TRUE(refused(session().publish("name", block + offset), Errc::kInteriorPointer));
    }
    EXPECT_EQ(session().free(block), Errc::kOk);
  }
}

TEST_P(Misuse, TheTailOfACellIsInterior) {
  // Cells of 4 KiB hold 85 blocks of 48 bytes and 16 bytes more.
  void* const block = session().allocate(48);
  const auto address = reinterpret_cast<std::uintptr_t>(block);
  auto* const tail = static_cast<std::byte*>(block) - address % 4096 + 4096 - 16;
  EXPECT_EQ(session().free(tail), Errc::kInteriorPointer);
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Misuse, GranulesThatHoldNoBlocksAreNamed) {
  std::byte* const base = data();
  // The second request is for two spans: one is carved, one waits uncarved.
  std::vector<void*> blocks;
  for (int i = 0; i < 4097; ++i) blocks.push_back(session().allocate(16));
  std::optional<std::byte*> uncarved;
  const auto& heap = FastAccess::heap(session());
  for (std::uint64_t granule = 0; granule < 4; ++granule) {
    if (heap.cells[granule].granules == 0) uncarved = base + granule * kGranuleBytes;
  }
  ASSERT_TRUE(uncarved.has_value());
  EXPECT_EQ(session().free(*uncarved), Errc::kNotABlock);
  EXPECT_EQ(session().free(base + (std::size_t{3} << 30)), Errc::kNotABlock) << "never granted";
  EXPECT_TRUE(refused(session().offer(*uncarved), Errc::kNotABlock));
  for (void* const block : blocks) EXPECT_EQ(session().free(block), Errc::kOk);
  (void)session().trim();
  EXPECT_EQ(session().free(blocks.front()), Errc::kNotABlock) << "given back";
}

TEST_P(Misuse, AnothersBlockIsNotOurs) {
  Session& other = add_session();
  for (const std::size_t size : {std::size_t{100}, kMiB}) {
    void* const theirs = other.allocate(size);
    test::fill_block(theirs, size, 3);
    void* const here = session().resolve(other.handle_of(theirs).value()).value();
    EXPECT_NE(here, theirs) << "each session has its own mapping";
    EXPECT_TRUE(test::holds_pattern(here, size, 3));
    EXPECT_EQ(session().free(here), Errc::kNotOwner);
    EXPECT_TRUE(refused(session().handle_of(here), Errc::kNotOwner));
    EXPECT_TRUE(refused(session().offer(here), Errc::kNotOwner));
    EXPECT_TRUE(refused(session().publish("name", here), Errc::kNotOwner));
    EXPECT_GE(session().usable_size(here), size);
    EXPECT_EQ(session().free(theirs), Errc::kNotInRegion) << "an address of another mapping";
    EXPECT_EQ(other.free(theirs), Errc::kOk);
  }
}

TEST_P(Misuse, HandlesThatNameNothingAreToldApart) {
  void* const block = session().allocate(1000);
  const Handle good = session().handle_of(block).value();
  ASSERT_EQ(session().resolve(good).value(), block);

  expect_all_refuse(Handle(), Errc::kBadArgument);
  expect_all_refuse(Handle::from_bits(good.bits() ^ (std::uint64_t{1} << 54)),
                    Errc::kForeignRegion);
  expect_all_refuse(handle_at(std::uint64_t{1} << 39, good), Errc::kNotInRegion);
  expect_all_refuse(Handle::from_bits(good.bits() ^ 1), Errc::kStaleHandle);
  expect_all_refuse(handle_at(good.offset_bytes() + 16, good), Errc::kStaleHandle);
  expect_all_refuse(handle_at(std::uint64_t{3} << 30, good), Errc::kStaleHandle);

  EXPECT_EQ(session().resolve(good).value(), block) << "and the good one still is";
  EXPECT_EQ(session().free(block), Errc::kOk);
  expect_all_refuse(good, Errc::kStaleHandle);
}

TEST_P(Misuse, NoRandomHandleDoesHarm) {
  const auto range = test::seeds(20);
  void* const block = session().allocate(1000);
  const Handle good = session().offer(block).value();
  Session& other = add_session();
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    for (int i = 0; i < 2000; ++i) {
      // Any bits; or the good ones with any offset and a generation that is not the good one.
      Handle handle = Handle::from_bits(random.next());
      if (random.percent(50)) {
        handle = Handle::make(good.region_tag(), random.below(std::uint64_t{1} << 33) & ~15ULL,
                              good.generation() ^ (1 + random.below(1000U)));
      }
      EXPECT_FALSE(other.resolve(handle).has_value());
      EXPECT_FALSE(other.adopt(handle).has_value());
      EXPECT_FALSE(session().retract(handle).has_value());
    }
  }
  EXPECT_EQ(session().retract(good).value(), block);
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Misuse, AHandleStaysStaleThroughEveryReuseOfItsBlock) {
  std::vector<Handle> stale;
  void* block = session().allocate(64);
  void* const first = block;
  for (int i = 0; i < 1000; ++i) {
    stale.push_back(session().handle_of(block).value());
    ASSERT_EQ(session().free(block), Errc::kOk);
    block = session().allocate(64);
    ASSERT_EQ(block, first);
  }
  for (const Handle handle : stale)
    EXPECT_TRUE(refused(session().resolve(handle), Errc::kStaleHandle));
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Misuse, AClosedSessionRefusesEverything) {
  Session copy = session();
  void* const block = session().allocate(100);
  const Handle handle = session().handle_of(block).value();
  region().end(session());
  for (Session* const one : {&session(), &copy}) {
    EXPECT_EQ(one->allocate(100), nullptr);
    EXPECT_EQ(Session::last_error().errc(), Errc::kClosed);
    EXPECT_EQ(one->allocate_aligned(100, 4096), nullptr);
    EXPECT_EQ(Session::last_error().errc(), Errc::kClosed);
    EXPECT_EQ(one->allocate(kMiB), nullptr);
    EXPECT_EQ(one->free(block), Errc::kClosed);
    EXPECT_EQ(one->free(nullptr), Errc::kOk);
    EXPECT_EQ(one->usable_size(block), 0U);
    EXPECT_EQ(one->trim(), 0U);
    EXPECT_TRUE(one->offers().empty());
    EXPECT_TRUE(refused(one->handle_of(block), Errc::kClosed));
    EXPECT_TRUE(refused(one->offer(block), Errc::kClosed));
    EXPECT_TRUE(refused(one->resolve(handle), Errc::kClosed));
    EXPECT_TRUE(refused(one->adopt(handle), Errc::kClosed));
    EXPECT_TRUE(refused(one->retract(handle), Errc::kClosed));
    EXPECT_TRUE(refused(one->publish("name", block), Errc::kClosed));
    EXPECT_TRUE(refused(one->find("name"), Errc::kClosed));
    EXPECT_TRUE(refused(one->unpin(handle), Errc::kClosed));
    EXPECT_TRUE(refused(one->unpublish("name", handle), Errc::kClosed));
    EXPECT_TRUE(refused(one->on_exit(one->id(), [] {}), Errc::kClosed));
    one->close();
  }
}

TEST_P(Misuse, OwnersOfAClosedSessionDoNothing) {
  Owned<int> owned = session().make<int>(7);
  Owned<int[]> many = session().make_array<int>(100);
  ASSERT_TRUE(owned && many);
  region().end(session());
  EXPECT_TRUE(refused(owned.offer(), Errc::kClosed));
  owned.reset();
  EXPECT_FALSE(session().make<int>(8));
}

}  // namespace
}  // namespace allot
