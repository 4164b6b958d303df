// Blocks that are offered and adopted by the batch, and spans that a receiver knows already.

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

class HandOver : public test::Conformance {
 protected:
  std::vector<Handle> offer_all(const std::vector<void*>& blocks) {
    std::vector<Handle> handles(blocks.size());
    const std::vector<const void*> offered(blocks.begin(), blocks.end());
    const Batch batch = session().offer_n(offered, handles);
    EXPECT_TRUE(batch) << describe(batch.errc);
    EXPECT_EQ(batch.count, blocks.size());
    return handles;
  }
};
ALLOT_CONFORMANCE_SUITE(HandOver);

TEST_P(HandOver, ABatchOfAnySizesGoesFromHandToHand) {
  Session& other = add_session();
  for (std::uint64_t round = 0; round < 3; ++round) {
    std::vector<void*> blocks;
    std::vector<std::size_t> sizes;
    // More than are prefetched at once, and of more classes than a thread knows spans of.
    for (std::size_t i = 0; i < 500; ++i) {
      sizes.push_back(i % 100 == 99 ? 2 * kMiB : 16 + (i * 131) % 40'000);
      blocks.push_back(session().allocate(sizes.back()));
      test::fill_block(blocks.back(), sizes.back(), i);
    }
    const std::vector<Handle> handles = offer_all(blocks);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(session().resolve(handles[i]).value(), blocks[i]);
    }
    std::vector<void*> taken(handles.size());
    const Batch batch = other.adopt_n(handles, taken);
    EXPECT_TRUE(batch) << describe(batch.errc);
    EXPECT_EQ(batch.count, handles.size());
    for (std::size_t i = 0; i < taken.size(); ++i) {
      EXPECT_EQ(taken[i], other.resolve(handles[i]).value());
      EXPECT_TRUE(test::holds_pattern(taken[i], sizes[i], i)) << i;
      EXPECT_EQ(session().free(blocks[i]), Errc::kNotOwner);
    }
    EXPECT_EQ(other.free_n(taken).count, taken.size());
    expect_live(0);
  }
}

TEST_P(HandOver, ARefusedOfferKeepsNoneOfTheOthers) {
  Session& other = add_session();
  auto* const block = static_cast<std::byte*>(session().allocate(100));
  void* const freed = session().allocate(100);
  EXPECT_EQ(session().free(freed), Errc::kOk);
  void* const given = session().allocate(100);
  void* const taken = other.adopt(session().offer(given).value()).value();
  void* const last = session().allocate(5 * kMiB);
  int outside = 0;
  const std::array<const void*, 7> blocks{nullptr, block, freed, given, block + 16, &outside, last};
  const Handle some = Handle::from_bits(77);
  std::array<Handle, 7> handles{some, some, some, some, some, some, some};
  const Batch batch = session().offer_n(blocks, handles);
  EXPECT_EQ(batch.count, 2U);
  EXPECT_EQ(batch.errc, Errc::kNotInRegion) << "of the first that was refused";
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(static_cast<bool>(handles[i]), i == 1 || i == 6) << i;
  }
  EXPECT_EQ(session().offers().size(), 2U);
  EXPECT_EQ(other.free(other.adopt(handles[1]).value()), Errc::kOk);
  EXPECT_EQ(other.free(other.adopt(handles[6]).value()), Errc::kOk);
  EXPECT_EQ(other.free(taken), Errc::kOk);
}

TEST_P(HandOver, ARefusedAdoptionKeepsNoneOfTheOthers) {
  Session& other = add_session();
  const std::vector<void*> blocks = {session().allocate(64), session().allocate(64),
                                     session().allocate(64)};
  std::vector<Handle> handles = offer_all(blocks);
  const Handle only_exposed = session().handle_of(session().allocate(64)).value();
  const Handle stale = Handle::make(handles[2].region_tag(), handles[2].offset_bytes(),
                                    handles[2].generation() ^ 1U);
  const Handle foreign = Handle::make(handles[2].region_tag() ^ 1U, handles[2].offset_bytes(),
                                      handles[2].generation());
  const Handle nowhere = Handle::make(handles[2].region_tag(), std::uint64_t{1} << 39, 5);
  const std::array<Handle, 9> asked{only_exposed, handles[0], Handle{},   stale,     foreign,
                                    nowhere,      handles[1], handles[1], handles[2]};
  std::array<void*, 9> taken{};
  taken.fill(&taken);
  const Batch batch = other.adopt_n(asked, taken);
  EXPECT_EQ(batch.count, 3U);
  EXPECT_EQ(batch.errc, Errc::kNotOffered) << "of the first that was refused";
  for (std::size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(taken[i] != nullptr, i == 1 || i == 6 || i == 8) << i;
  }
  EXPECT_EQ(other.free_n(taken).count, taken.size()) << "nullptr is ignored";
  EXPECT_EQ(session().free(session().resolve(only_exposed).value()), Errc::kOk);
}

TEST_P(HandOver, SpansOfDifferentLengthsAndAClosedSessionAreRefused) {
  void* const block = session().allocate(64);
  const std::array<const void*, 2> blocks{block, block};
  std::array<Handle, 1> too_few;
  EXPECT_EQ(session().offer_n(blocks, too_few).errc, Errc::kBadArgument);
  EXPECT_TRUE(session().offers().empty());
  const std::array<Handle, 1> handles{session().offer(block).value()};
  std::array<void*, 2> too_many{};
  EXPECT_EQ(session().adopt_n(handles, too_many).errc, Errc::kBadArgument);
  EXPECT_EQ(session().offers().size(), 1U) << "nothing was adopted";
  EXPECT_EQ(session().free(block), Errc::kOk);
  EXPECT_TRUE(session().offer_n({}, {}));
  EXPECT_TRUE(session().adopt_n({}, {}));

  Session& closed = add_session();
  end_session(closed);
  std::array<Handle, 2> none{};
  std::array<void*, 1> nothing{};
  EXPECT_EQ(closed.offer_n(blocks, none).errc, Errc::kClosed);
  EXPECT_EQ(closed.adopt_n(handles, nothing).errc, Errc::kClosed);
}

TEST_P(HandOver, OfTwoAdoptersOfABatchEachBlockGoesToOne) {
  std::vector<Session*> adopters = {&add_session(), &add_session()};
  constexpr std::size_t kBlocks = 200;
  for (int round = 0; round < 20; ++round) {
    std::vector<void*> blocks(kBlocks);
    ASSERT_TRUE(session().allocate_n(48, blocks));
    const std::vector<Handle> handles = offer_all(blocks);
    std::vector<std::vector<void*>> taken(2, std::vector<void*>(kBlocks));
    std::array<Batch, 2> batches;
    test::run_threads(
        2, [&](std::size_t i) { batches.at(i) = adopters[i]->adopt_n(handles, taken[i]); });
    EXPECT_EQ(batches[0].count + batches[1].count, kBlocks);
    for (std::size_t i = 0; i < kBlocks; ++i) {
      EXPECT_NE(taken[0][i] == nullptr, taken[1][i] == nullptr) << i;
    }
    for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(adopters[i]->free_n(taken[i]));
    expect_live(0);
  }
}

// What a receiver remembers of a span is of no use once the span was cut anew, for another size.
TEST_P(HandOver, ASpanThatWasCutAnewIsLookedAtAnew) {
  Session& other = add_session();
  for (const std::size_t size : {std::size_t{64}, std::size_t{80}, std::size_t{3000},
                                 std::size_t{16}, std::size_t{20'000}, std::size_t{kMiB}}) {
    std::vector<void*> blocks(60);
    for (void*& block : blocks) {
      block = session().allocate(size);
      test::fill_block(block, size, size);
    }
    std::vector<void*> taken(blocks.size());
    EXPECT_TRUE(other.adopt_n(offer_all(blocks), taken));
    for (void* const block : taken) EXPECT_TRUE(test::holds_pattern(block, size, size));
    EXPECT_TRUE(other.free_n(taken));
    EXPECT_GT(session().trim(), 0U);
  }
}

// A thread that frees another's blocks, of many sizes, without a hand-over.
TEST_P(HandOver, WhatAnotherThreadFreesIsUsedAgain) {
  constexpr std::size_t kBlocks = 300;
  std::vector<void*> blocks(kBlocks);
  std::vector<void*> again(kBlocks);
  const auto allocate = [&](std::vector<void*>& out) {
    for (std::size_t i = 0; i < kBlocks; ++i) out[i] = session().allocate(16 + i % 50 * 20);
  };
  allocate(blocks);
  test::run_threads(1, [&](std::size_t) {
    for (void* const block : blocks) EXPECT_EQ(session().free(block), Errc::kOk);
    for (void* const block : blocks) EXPECT_EQ(session().free(block), Errc::kDoubleFree);
  });
  expect_live(0);
  const std::uint64_t granted = region().audit().granted_bytes;
  for (int round = 0; round < 20; ++round) {
    allocate(again);
    test::run_threads(1, [&](std::size_t) { EXPECT_TRUE(session().free_n(again)); });
  }
  EXPECT_EQ(region().audit().granted_bytes, granted);
  std::sort(again.begin(), again.end());
  EXPECT_EQ(std::adjacent_find(again.begin(), again.end()), again.end());
}

}  // namespace
}  // namespace allot
