// Arenas and arrays that several sessions fill at once: chunks, order, attaching, clearing, ending.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/shared_arena.hpp>
#include <allot/shared_vlarray.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using test::refused;

constexpr std::size_t kKiB = 1024;

class SharedArenas : public test::Conformance {
 protected:
  [[nodiscard]] SharedArena make(const std::string& name, const SharedArenaOptions& options) {
    return SharedArena::create(session(), name, options).value();
  }
};
ALLOT_CONFORMANCE_SUITE(SharedArenas);

using Chunked = SharedArenaOptions;

TEST_P(SharedArenas, WhatOnePushesAnotherFindsAtTheSameOffset) {
  SharedArena mine = make("a", {});
  auto* const text = static_cast<char*>(mine.push(6));
  std::memcpy(text, "hello", 6);
  SharedArena theirs = SharedArena::attach(add_session(), "a").value();
  const auto* const seen = static_cast<const char*>(theirs.at(mine.offset_of(text), 6));
  ASSERT_NE(seen, nullptr);
  EXPECT_NE(seen, text) << "mapped twice";
  EXPECT_STREQ(seen, "hello");
  // Both at once, each in a chunk of its own.
  auto* const other = theirs.make<std::uint64_t>(7U);
  ASSERT_NE(other, nullptr);
  EXPECT_NE(theirs.offset_of(other) / theirs.chunk_bytes(),
            mine.offset_of(text) / mine.chunk_bytes());
  EXPECT_EQ(*static_cast<std::uint64_t*>(mine.at(theirs.offset_of(other), 8)), 7U);
  EXPECT_TRUE(mine.unpublish("a").has_value());
}

TEST_P(SharedArenas, PushesAreAlignedApartAndInOrder) {
  SharedArena arena = make("a", Chunked{256 * kKiB, 64 * kKiB});
  std::uint64_t behind = 0;
  for (std::size_t i = 1; i < 500; ++i) {
    const std::size_t alignment = std::size_t{1} << (i % 13);
    void* const block = arena.push(i, alignment);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0U);
    const std::uint64_t offset = arena.offset_of(block);
    EXPECT_GE(offset, behind);
    behind = offset + i;
    EXPECT_EQ(arena.at(offset, i), block);
    std::memset(block, 0xA5, i);
    if (behind > 200 * kKiB) break;
  }
  EXPECT_TRUE(arena.unpublish("a").has_value());
}

TEST_P(SharedArenas, EveryByteOfEveryChunkIsUsedOnceThenItIsFull) {
  SharedArena one = make("a", Chunked{256 * kKiB, 16 * kKiB});
  SharedArena two = SharedArena::attach(add_session(), "a").value();
  std::set<std::uint64_t> offsets;
  for (bool room = true; room;) {
    room = false;
    for (SharedArena* const arena : {&one, &two}) {
      void* const block = arena->push(1000);
      if (block == nullptr) continue;
      room = true;
      EXPECT_TRUE(offsets.insert(arena->offset_of(block)).second) << "twice";
    }
  }
  EXPECT_EQ(SharedArena::last_error(), Errc::kArenaFull);
  EXPECT_EQ(offsets.size(), 16U * (16 * kKiB / 1008));
  std::uint64_t last = 0;
  for (const std::uint64_t offset : offsets) {
    EXPECT_TRUE(last == 0 || offset >= last + 1000);
    last = offset;
  }
  const ChunkUsage usage = one.usage();
  EXPECT_EQ(usage.untouched_chunks, 0U);
  EXPECT_EQ(usage.open_chunks + usage.closed_chunks, 16U);
  EXPECT_EQ(usage.used_bytes, offsets.size() * 1008);
  EXPECT_EQ(usage.size_bytes - usage.used_bytes, usage.open_rest_bytes + usage.closed_rest_bytes);
  // What is left of closed chunks still serves what fits.
  EXPECT_NE(one.push(16), nullptr);
  EXPECT_TRUE(one.unpublish("a").has_value());
}

TEST_P(SharedArenas, WhoLeavesClosesItsChunkAndTheNextGoesOnBehind) {
  SharedArena first = make("a", Chunked{64 * kKiB, 64 * kKiB});
  const std::uint64_t offset = first.offset_of(first.push(100));
  {
    SharedArena second = SharedArena::attach(add_session(), "a").value();
    EXPECT_EQ(second.push(16), nullptr) << "the only chunk is taken";
    EXPECT_EQ(SharedArena::last_error(), Errc::kArenaFull);
    first = SharedArena();
    void* const block = second.push(16);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(second.offset_of(block), offset + 112);
    EXPECT_TRUE(second.unpublish("a").has_value());
  }
  expect_live(0);
}

TEST_P(SharedArenas, ASessionThatEndsLeavesItsChunkClosed) {
  SharedArena mine = make("a", Chunked{128 * kKiB, 64 * kKiB});
  Session& other = add_session();
  auto theirs = std::make_optional(SharedArena::attach(other, "a").value());
  auto* const value = theirs->make<std::uint64_t>(42U);
  const std::uint64_t offset = theirs->offset_of(value);
  EXPECT_EQ(mine.usage().open_chunks, 1U);
  region().end(other);
  theirs.reset();
  const ChunkUsage usage = mine.usage();
  EXPECT_EQ(usage.open_chunks, 0U);
  EXPECT_EQ(usage.closed_chunks, 1U);
  EXPECT_EQ(usage.used_bytes, 16U);
  EXPECT_EQ(*static_cast<std::uint64_t*>(mine.at(offset, 8)), 42U);
  expect_live(1);
  EXPECT_TRUE(mine.unpublish("a").has_value());
}

TEST_P(SharedArenas, ItOutlivesItsMakerAndItsNameUntilTheLastUserLeaves) {
  Session& maker = add_session();
  auto made = std::make_optional(SharedArena::create(maker, "a").value());
  const std::uint64_t offset = made->offset_of(made->make<int>(5));
  SharedArena mine = SharedArena::attach(session(), "a").value();
  EXPECT_TRUE(made->unpublish("a").has_value());
  made.reset();
  region().end(maker);
  EXPECT_TRUE(refused(SharedArena::attach(session(), "a"), Errc::kNameUnknown));
  EXPECT_EQ(*static_cast<int*>(mine.at(offset, sizeof(int))), 5);
  EXPECT_NE(mine.push(100), nullptr);
  expect_live(1);
  mine = SharedArena();
  expect_live(0);
}

TEST_P(SharedArenas, ClearIsRefusedWhileOthersHoldIt) {
  SharedArena mine = make("a", {});
  EXPECT_NE(mine.push(1000), nullptr);
  {
    SharedArena same_session = SharedArena::attach(session(), "a").value();
    EXPECT_TRUE(refused(mine.clear(), Errc::kArenaShared));
  }
  Session& other = add_session();
  {
    SharedArena theirs = SharedArena::attach(other, "a", ShareAccess::kReadOnly).value();
    EXPECT_TRUE(refused(mine.clear(), Errc::kArenaShared));
    EXPECT_TRUE(refused(theirs.clear(), Errc::kReadOnly));
  }
  EXPECT_EQ(mine.epoch(), 0U);
  EXPECT_TRUE(mine.clear().has_value());
  EXPECT_EQ(mine.epoch(), 1U);
  EXPECT_EQ(mine.usage().used_bytes, 0U);
  EXPECT_EQ(mine.at(0), nullptr) << "nothing is filled";
  const auto* const zeroed = static_cast<const char*>(mine.push_zero(1000));
  ASSERT_NE(zeroed, nullptr);
  EXPECT_TRUE(std::all_of(zeroed, zeroed + 1000, [](char c) { return c == 0; }));
  EXPECT_TRUE(mine.unpublish("a").has_value());
}

TEST_P(SharedArenas, AFailedPushChangesNothing) {
  SharedArena arena = make("a", Chunked{32 * kKiB, 16 * kKiB});
  SharedArena other = SharedArena::attach(add_session(), "a").value();
  ASSERT_NE(arena.push(10'000), nullptr);
  ASSERT_NE(other.push(16), nullptr);
  EXPECT_EQ(arena.push(8000), nullptr);
  EXPECT_EQ(SharedArena::last_error(), Errc::kArenaFull);
  EXPECT_EQ(arena.usage().open_chunks, 2U);
  EXPECT_NE(arena.push(6000), nullptr) << "it had room for that";
  EXPECT_TRUE(arena.unpublish("a").has_value());
}

TEST_P(SharedArenas, ComeAndGoWithoutEndInTheSameMemory) {
  open({.commit_limit_bytes = std::uint64_t{64} << 20, .session_quota_bytes = 64 << 20});
  for (int i = 0; i < 100; ++i) {
    auto arena = SharedArena::create(session(), "a", Chunked{8 << 20, 64 * kKiB});
    ASSERT_TRUE(arena.has_value()) << i << ": " << arena.error().message();
    ASSERT_NE(arena->push(1000), nullptr);
    ASSERT_TRUE(arena->unpublish("a").has_value());
  }
}

TEST_P(SharedArenas, AReaderReadsAndMayNotPush) {
  SharedArena mine = make("a", {});
  auto* const written = static_cast<char*>(mine.push(16));
  std::memcpy(written, "for all", 8);
  SharedArena reader = SharedArena::attach(add_session(), "a", ShareAccess::kReadOnly).value();
  EXPECT_EQ(reader.push(16), nullptr);
  EXPECT_EQ(SharedArena::last_error(), Errc::kReadOnly);
  auto* const read = static_cast<char*>(reader.at(mine.offset_of(written), 16));
  ASSERT_NE(read, nullptr);
  EXPECT_STREQ(read, "for all");
  EXPECT_TRUE(test::write_faults(reinterpret_cast<std::byte*>(read))) << "a stray store";
  std::memcpy(written, "changed", 8);
  EXPECT_STREQ(read, "changed") << "the same memory";
  SharedArena moved = std::move(reader);
  EXPECT_STREQ(read, "changed");
  EXPECT_TRUE(mine.unpublish("a").has_value());
}

TEST_P(SharedArenas, BadInputIsNamedAndLosesNothing) {
  EXPECT_TRUE(refused(SharedArena::create(session(), ""), Errc::kBadName));
  EXPECT_TRUE(refused(SharedArena::create(session(), "a", Chunked{0, 0}), Errc::kSizeZero));
  EXPECT_TRUE(refused(SharedArena::create(session(), "a", Chunked{1, 17}), Errc::kBadArgument));
  EXPECT_TRUE(
      refused(SharedArena::create(session(), "a", Chunked{1, 8 << 20}), Errc::kBadArgument));
  EXPECT_TRUE(
      refused(SharedArena::create(session(), "a", Chunked{64 << 20, 16}), Errc::kBadArgument));
  EXPECT_TRUE(refused(SharedArena::create(session(), "a", Chunked{~std::uint64_t{0}, 0}),
                      Errc::kSizeTooLarge));
  EXPECT_TRUE(refused(SharedArena::attach(session(), "a"), Errc::kNameUnknown));
  expect_live(0);

  SharedArena arena = make("a", Chunked{64 * kKiB, 32 * kKiB});
  EXPECT_TRUE(refused(SharedArena::create(session(), "a"), Errc::kNameTaken));
  EXPECT_TRUE(refused(SharedVlArray<int>::attach(session(), "a"), Errc::kArenaKind));
  expect_live(1);
  const auto refused_push = [&](std::size_t size, std::size_t alignment, Errc errc) {
    EXPECT_EQ(arena.push(size, alignment), nullptr);
    EXPECT_EQ(SharedArena::last_error(), errc);
  };
  refused_push(0, 16, Errc::kSizeZero);
  refused_push(16, 0, Errc::kBadAlignment);
  refused_push(16, 24, Errc::kBadAlignment);
  refused_push(16, 128 * kKiB, Errc::kBadAlignment);
  refused_push(32 * kKiB + 1, 16, Errc::kSizeTooLarge);
  refused_push(std::numeric_limits<std::size_t>::max(), 16, Errc::kSizeTooLarge);
  refused_push(std::numeric_limits<std::size_t>::max() - 20, 4096, Errc::kSizeTooLarge);
  EXPECT_EQ(arena.push_array<std::uint64_t>(std::numeric_limits<std::size_t>::max() / 4), nullptr);
  EXPECT_NE(arena.push(32 * kKiB), nullptr);
  EXPECT_EQ(arena.at(64 * kKiB), nullptr);
  EXPECT_EQ(arena.at(std::numeric_limits<std::uint64_t>::max()), nullptr);
  EXPECT_EQ(arena.at(16, std::numeric_limits<std::uint64_t>::max()), nullptr);
  SharedArena nothing;
  EXPECT_EQ(nothing.push(16), nullptr);
  EXPECT_EQ(SharedArena::last_error(), Errc::kClosed);
  EXPECT_EQ(nothing.at(0), nullptr);
  EXPECT_TRUE(refused(nothing.clear(), Errc::kClosed));
  EXPECT_TRUE(arena.unpublish("a").has_value());

  void* const block = session().allocate(100);
  const Handle handle = session().publish("b", block).value();
  EXPECT_TRUE(refused(SharedArena::attach(session(), "b"), Errc::kArenaKind));
  EXPECT_TRUE(session().unpublish("b", handle).has_value());
}

TEST_P(SharedArenas, ManyThreadsFillOneArena) {
  SharedArena arena = make("a", Chunked{8 << 20, 64 * kKiB});
  constexpr int kThreads = 4;
  constexpr std::uint32_t kEach = 20'000;
  std::array<std::vector<std::uint64_t>, kThreads> offsets;
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      SharedArena mine = SharedArena::attach(session(), "a").value();
      for (std::uint32_t i = 0; i < kEach; ++i) {
        auto* const pair = mine.push_array<std::uint32_t>(2);
        pair[0] = t;
        pair[1] = i;
        offsets[t].push_back(mine.offset_of(pair));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    for (std::uint32_t i = 0; i < kEach; ++i) {
      const auto* const pair = static_cast<std::uint32_t*>(arena.at(offsets[t][i], 8));
      ASSERT_NE(pair, nullptr);
      ASSERT_EQ(pair[0], t);
      ASSERT_EQ(pair[1], i);
    }
  }
  EXPECT_EQ(arena.usage().used_bytes, std::uint64_t{kThreads} * kEach * 8);
  EXPECT_TRUE(arena.unpublish("a").has_value());
}

class SharedVlArrays : public test::Conformance {};
ALLOT_CONFORMANCE_SUITE(SharedVlArrays);

TEST_P(SharedVlArrays, OneAppendsInOrderAndOthersReadWhatIsReady) {
  auto mine = SharedVlArray<std::uint64_t>::create(session(), "v", 100'000, 1000).value();
  auto theirs =
      SharedVlArray<std::uint64_t>::attach(add_session(), "v", ShareAccess::kReadOnly).value();
  EXPECT_TRUE(theirs.empty());
  const std::uint64_t* const first = mine.push_back(0);
  for (std::uint64_t i = 1; i < 50'000; ++i) {
    ASSERT_NE(mine.push_back(i), nullptr);
    if (i % 997 == 0) {
      ASSERT_EQ(theirs.size(), i + 1);
    }
  }
  EXPECT_EQ(&mine[0], first) << "nothing moves";
  const auto all = theirs.span();
  ASSERT_EQ(all.size(), 50'000U);
  for (std::uint64_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], i);
  EXPECT_EQ(theirs.push_back(1), nullptr);
  EXPECT_EQ(theirs.last_error(), Errc::kReadOnly);
  EXPECT_TRUE(mine.unpublish("v").has_value());
}

TEST_P(SharedVlArrays, OneAppenderAtATimeKeepsTheOrder) {
  auto first = SharedVlArray<int>::create(session(), "v", 100, 10).value();
  auto second = SharedVlArray<int>::attach(add_session(), "v").value();
  for (int i = 0; i < 15; ++i) ASSERT_NE(first.push_back(i), nullptr);
  EXPECT_EQ(second.push_back(99), nullptr);
  EXPECT_EQ(second.last_error(), Errc::kArenaShared);
  first.close_chunk();
  for (int i = 15; i < 100; ++i) ASSERT_NE(second.push_back(i), nullptr);
  EXPECT_EQ(second.push_back(100), nullptr);
  EXPECT_EQ(second.last_error(), Errc::kArenaFull);
  EXPECT_EQ(first.push_back(100), nullptr);
  EXPECT_EQ(first.last_error(), Errc::kArenaFull);
  ASSERT_EQ(first.size(), 100U);
  for (std::uint64_t i = 0; i < 100; ++i) EXPECT_EQ(first[i], static_cast<int>(i));
  EXPECT_TRUE(first.unpublish("v").has_value());
}

TEST_P(SharedVlArrays, InOrderMeansBehindTheLastWhateverCameBefore) {
  auto array = SharedVlArray<int>::create(session(), "v", 40, 10).value();
  ASSERT_NE(array.push_back_shared(1), nullptr);
  array.close_chunk();
  ASSERT_NE(array.push_back_shared(2), nullptr) << "in the next chunk";
  ASSERT_NE(array.push_back(3), nullptr);
  ASSERT_EQ(array.size(), 2U);
  EXPECT_EQ(array[0], 1);
  EXPECT_EQ(array[1], 3);
  EXPECT_TRUE(array.unpublish("v").has_value());
}

TEST_P(SharedVlArrays, ManyAppendAndEachKeepsItsOrder) {
  using Pair = std::array<std::uint32_t, 2>;
  auto array = SharedVlArray<Pair>::create(session(), "v", 100'000, 512).value();
  constexpr std::uint32_t kThreads = 4;
  constexpr std::uint32_t kEach = 20'000;
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto mine = SharedVlArray<Pair>::attach(session(), "v").value();
      for (std::uint32_t i = 0; i < kEach; ++i) {
        if (mine.push_back_shared({t, i}) == nullptr) return;
      }
    });
  }
  // While they append, each chunk's ready elements can be read, and they make sense.
  std::uint64_t seen = 0;
  while (seen < std::uint64_t{kThreads} * kEach) {
    const std::uint64_t before = seen;
    seen = 0;
    for (std::uint32_t c = 0; c < array.chunk_count(); ++c) {
      const auto ready = array.chunk(c);
      seen += ready.size();
      for (std::size_t i = 1; i < ready.size(); ++i) {
        ASSERT_LT(ready[i][0], kThreads);
        if (ready[i][0] == ready[i - 1][0]) {
          ASSERT_GT(ready[i][1], ready[i - 1][1]);
        }
      }
    }
    ASSERT_GE(seen, before) << "what was ready stays";
  }
  for (std::thread& thread : threads) thread.join();
  std::array<std::uint64_t, kThreads> counts{};
  array.for_each([&](const Pair& pair) { ++counts[pair[0]]; });
  for (const std::uint64_t count : counts) EXPECT_EQ(count, kEach);
  EXPECT_EQ(array.ready(), std::uint64_t{kThreads} * kEach);
  EXPECT_TRUE(array.unpublish("v").has_value());
}

TEST_P(SharedVlArrays, ElementsOfAnotherSizeAreRefused) {
  auto array = SharedVlArray<std::uint64_t>::create(session(), "v", 10).value();
  EXPECT_TRUE(refused(SharedVlArray<std::uint32_t>::attach(session(), "v"), Errc::kTypeMismatch));
  EXPECT_TRUE(refused(SharedArena::attach(session(), "v"), Errc::kArenaKind));
  EXPECT_TRUE(array.unpublish("v").has_value());
}

}  // namespace
}  // namespace allot
