// ThreadHeap over a region in private memory: what one thread's stacks and spans do, with the frees
// of other processes played by hand.

#include "client/thread_heap.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/guarded_bytes.hpp"
#include "tests/support/memory_region.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

using detail::OwnWord;
using region::CarveWord;
using region::kGranuleBytes;
using region::kSizeClasses;

constexpr std::uint32_t kGranules = 256;
constexpr std::uint32_t kMe = OwnWord::kFirstSession + 5;
constexpr std::uint32_t kBin64 = region::bin_of(64);

// One heap with all of a region for itself; granules are handed out in order.
class ThreadHeapTest : public testing::Test {
 protected:
  ThreadHeapTest() {
    memory_.open(kGranules);
    memory_.open_heaps(1);
    data_.open(kGranules * kGranuleBytes);
    heap().attach({&session_, &view_, kMe, 0, data_.base(), cells_.data()});
  }
  ~ThreadHeapTest() override { heap().detach(); }

  // Never destroyed, as in a process.
  static ThreadHeap& heap() {
    static ThreadHeap* const kHeap = ThreadHeap::create();
    return *kHeap;
  }
  const region::RegionView& view() const { return view_; }
  std::byte* data() { return data_.base(); }

  std::uint32_t carve(std::uint32_t bin) {
    const std::uint32_t first = next_granule_;
    next_granule_ += kSizeClasses.at(bin).span_granules;
    EXPECT_LE(next_granule_, kGranules);
    heap().carve(bin, first, kGranules * kGranuleBytes);
    return first;
  }
  std::uint32_t granules_left() const { return kGranules - next_granule_; }

  static void* pop(std::uint32_t bin) {
    void* block = nullptr;
    return detail::try_pop(heap(), bin, block) ? block : nullptr;
  }
  static std::vector<void*> pop_all(std::uint32_t bin) {
    std::vector<void*> out;
    for (void* block = pop(bin); block != nullptr; block = pop(bin)) out.push_back(block);
    return out;
  }
  detail::Atomic<std::uint32_t>& word_of(std::uint32_t bin, std::uint32_t first, void* block) {
    const auto in_span = static_cast<std::byte*>(block) - (data() + first * kGranuleBytes);
    return view_.word(
        first, region::block_index(kSizeClasses.at(bin), static_cast<std::uint32_t>(in_span)));
  }
  // As Session::free(), also where the stack is full.
  void push(std::uint32_t bin, void* block) {
    if (detail::try_push(heap(), block)) return;
    const detail::SpanCell* found = nullptr;
    ASSERT_TRUE(detail::find_cell(heap(), block, found));
    const detail::SpanCell& cell = *found;
    auto& word = word_of(bin, cell.first, block);
    word.store_release(OwnWord::after_free(word.load_relaxed(), OwnWord::kFree));
    (void)heap().push(cell, block, &word);
  }
  // What another process does to a block it owns, in a span of ours.
  void free_elsewhere(std::uint32_t bin, std::uint32_t first, void* block) {
    auto& word = word_of(bin, first, block);
    word.store_release(OwnWord::after_free(word.load_relaxed(), OwnWord::kFreed));
    view_.span_ledger(first).hint.store_release(1);
  }

  test::MemoryRegion memory_{kGranules};
  test::GuardedBytes data_{kGranules * kGranuleBytes};
  region::RegionView view_ = memory_.view();
  std::vector<detail::SpanCell> cells_ = std::vector<detail::SpanCell>(kGranules);
  // The heap only keeps the address.
  detail::SessionState& session_ = *reinterpret_cast<detail::SessionState*>(&memory_);
  std::uint32_t next_granule_ = 0;
};

TEST_F(ThreadHeapTest, ACarvedSpanGivesEachBlockOnce) {
  for (std::uint32_t bin = 0; bin < region::kClassCount && granules_left() >= 16; ++bin) {
    const std::uint32_t first = carve(bin);
    EXPECT_EQ(view().span_ledger(first).carve.load_relaxed(), CarveWord::blocks(bin));
    const std::vector<void*> blocks = pop_all(bin);
    EXPECT_EQ(blocks.size(), kSizeClasses.at(bin).block_count);
    // Lowest address first; the first block of the span comes last.
    EXPECT_TRUE(std::is_sorted(blocks.begin(), std::prev(blocks.end())));
    EXPECT_EQ(blocks.back(), data() + first * kGranuleBytes);
    EXPECT_EQ(std::set<void*>(blocks.begin(), blocks.end()).size(), blocks.size());
    for (void* const block : blocks) {
      ASSERT_EQ(OwnWord::owner(word_of(bin, first, block).load_relaxed()), kMe);
    }
  }
}

TEST_F(ThreadHeapTest, ANewCarvingBeginsAtOtherGenerations) {
  const auto generations = [&](std::uint32_t first) {
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 0; i < kSizeClasses.at(kBin64).block_count; ++i) {
      out.push_back(OwnWord::generation(view().word(first, i).load_relaxed()));
    }
    return out;
  };
  const auto first = generations(carve(kBin64));
  (void)pop_all(kBin64);
  const auto second = generations(carve(kBin64));
  EXPECT_NE(first, second);
  EXPECT_GT(std::set<std::uint32_t>(first.begin(), first.end()).size(), first.size() - 10)
      << "nor do a span's blocks share one";
}

// Every address of a span of every class: free() takes what begins a block of ours, nothing else.
TEST_F(ThreadHeapTest, OnlyTheStartOfABlockIsFreed) {
  std::uint32_t carved = 0;
  for (std::uint32_t bin = 0; bin < region::kClassCount && granules_left() >= 16; ++bin) {
    const region::SizeClass& size_class = kSizeClasses.at(bin);
    const std::uint32_t first = carve(bin);
    (void)pop_all(bin);
    ++carved;
    std::uint32_t freed = 0;
    for (std::uint32_t offset = 0; offset < size_class.span_granules * kGranuleBytes; ++offset) {
      if (!detail::try_push(heap(), data() + first * kGranuleBytes + offset)) continue;
      ++freed;
      ASSERT_NE(region::block_index(size_class, offset), region::kNotABlockStart)
          << offset << " of blocks of " << size_class.block_bytes;
    }
    EXPECT_EQ(freed, size_class.block_count);
  }
  EXPECT_GT(carved, 30U);
}

TEST_F(ThreadHeapTest, WhatIsNotOursIsNotFreed) {
  const std::uint32_t first = carve(kBin64);
  void* const block = pop(kBin64);
  auto& word = word_of(kBin64, first, block);
  const std::uint32_t mine = word.load_relaxed();
  for (const std::uint32_t other :
       {OwnWord::make(kMe + 1, mine), OwnWord::make(OwnWord::kFree, mine),
        OwnWord::make(OwnWord::kFreed, mine), OwnWord::make(OwnWord::kKept, mine), 0U,
        mine | OwnWord::kExposed, mine | OwnWord::kOffered}) {
    word.store_relaxed(other);
    EXPECT_FALSE(detail::try_push(heap(), block)) << std::hex << other;
    EXPECT_EQ(word.load_relaxed(), other);
  }
  EXPECT_FALSE(detail::try_push(heap(), nullptr));
  EXPECT_FALSE(detail::try_push(heap(), &word));
  EXPECT_FALSE(detail::try_push(heap(), data() - 16));
  EXPECT_FALSE(detail::try_push(heap(), data() + kGranules * kGranuleBytes));
  EXPECT_FALSE(detail::try_push(heap(), data() + (first + 1) * kGranuleBytes)) << "not carved";
  word.store_relaxed(mine);
  EXPECT_TRUE(detail::try_push(heap(), block));
  EXPECT_FALSE(detail::try_push(heap(), block)) << "a double free";
}

TEST_F(ThreadHeapTest, DamagedBlocksAreDroppedAndNeverComeOut) {
  const std::uint32_t first = carve(kBin64);
  const std::size_t count = kSizeClasses.at(kBin64).block_count;
  for (std::uint32_t i = 1; i < 4; ++i) {
    view().word(first, i).store_relaxed(OwnWord::make(OwnWord::kFree, 1) | OwnWord::kExposed);
  }
  EXPECT_EQ(pop(kBin64), nullptr) << "the top is damaged";
  EXPECT_EQ(heap().drop_damaged(kBin64), 3U);
  EXPECT_EQ(heap().drop_damaged(kBin64), 0U);
  EXPECT_EQ(pop_all(kBin64).size(), count - 3);
  // Not even a scan brings them back to somebody who asks.
  view().span_ledger(first).hint.store_relaxed(1);
  (void)heap().collect(kBin64);
  EXPECT_EQ(pop(kBin64), nullptr);
}

TEST_F(ThreadHeapTest, ADamagedSpareIsDroppedToo) {
  const std::uint32_t first = carve(kBin64);
  void* const damaged = pop(kBin64);
  void* const sound = pop(kBin64);
  push(kBin64, damaged);
  push(kBin64, sound);
  word_of(kBin64, first, damaged).store_relaxed(OwnWord::make(OwnWord::kFreed, 1));
  EXPECT_EQ(pop(kBin64), nullptr) << "what was freed first would go out first";
  EXPECT_EQ(heap().drop_damaged(kBin64), 1U);
  EXPECT_EQ(pop(kBin64), sound);
}

TEST_F(ThreadHeapTest, FreedBlocksAreCollectedWhereAHintSaysSoFirst) {
  std::vector<std::uint32_t> spans;
  for (int i = 0; i < 4; ++i) spans.push_back(carve(kBin64));
  const std::vector<void*> blocks = pop_all(kBin64);
  EXPECT_FALSE(heap().collect(kBin64)) << "nothing is free";

  const auto in = [&](std::uint32_t granule) {
    return *std::find_if(blocks.begin(), blocks.end(), [&](void* block) {
      return static_cast<std::byte*>(block) >= data() + granule * kGranuleBytes &&
             static_cast<std::byte*>(block) < data() + (granule + 1) * kGranuleBytes;
    });
  };
  void* const one = in(spans[0]);
  void* const two = in(spans[2]);
  free_elsewhere(kBin64, spans[0], one);
  free_elsewhere(kBin64, spans[2], two);
  view().span_ledger(spans[2]).hint.store_relaxed(0);  // its process was killed before it said so
  EXPECT_TRUE(heap().collect(kBin64));
  EXPECT_EQ(pop_all(kBin64), std::vector<void*>{one});
  EXPECT_EQ(view().span_ledger(spans[0]).hint.load_relaxed(), 0U);
  // Each refill that finds nothing looks at one span more.
  int refills = 1;
  while (!heap().collect(kBin64) && refills < 10) ++refills;
  EXPECT_LE(refills, 4);
  EXPECT_EQ(pop_all(kBin64), std::vector<void*>{two});
}

// The heap must know where they lie: every second span is in use, and a look there finds nothing.
TEST_F(ThreadHeapTest, WhatLeavesAFullStackIsFoundAgainBeforeAnythingElse) {
  std::vector<void*> freed;
  for (int i = 0; i < 12; ++i) {
    (void)carve(kBin64);
    const std::vector<void*> blocks = pop_all(kBin64);
    if (i % 2 == 1) freed.insert(freed.end(), blocks.begin(), blocks.end());
  }
  for (void* const block : freed) push(kBin64, block);
  std::vector<void*> found = pop_all(kBin64);
  EXPECT_LT(found.size(), freed.size()) << "they have all been on the stack";
  while (heap().collect(kBin64)) {
    const std::vector<void*> more = pop_all(kBin64);
    found.insert(found.end(), more.begin(), more.end());
  }
  EXPECT_EQ(found.size(), freed.size());
  EXPECT_EQ(std::set<void*>(found.begin(), found.end()),
            std::set<void*>(freed.begin(), freed.end()));
}

TEST_F(ThreadHeapTest, OnlySpansWithoutABlockInUseAreReleased) {
  const std::uint32_t first = carve(kBin64);
  std::vector<void*> blocks = pop_all(kBin64);
  const std::uint32_t second = carve(kBin64);
  void* const kept = pop(kBin64);
  const std::uint32_t other = carve(region::bin_of(30'000));
  for (void* const block : blocks) ASSERT_TRUE(detail::try_push(heap(), block));

  std::vector<std::uint32_t> released;
  heap().release_free_spans(released);
  std::sort(released.begin(), released.end());
  EXPECT_EQ(released, (std::vector<std::uint32_t>{first, other}));
  EXPECT_EQ(pop(region::bin_of(30'000)), nullptr);
  EXPECT_FALSE(detail::try_push(heap(), blocks.front())) << "it is gone";
  const std::vector<void*> left = pop_all(kBin64);
  EXPECT_EQ(left.size(), kSizeClasses.at(kBin64).block_count - 1);
  for (void* const block : left) {
    ASSERT_GE(static_cast<std::byte*>(block), data() + second * kGranuleBytes);
  }
  EXPECT_TRUE(detail::try_push(heap(), kept));
}

TEST_F(ThreadHeapTest, AnAdoptedSpanIsLookedAtBeforeAllOthers) {
  constexpr std::uint32_t kBin = region::bin_of(1024);
  const region::SizeClass& cut = kSizeClasses.at(kBin);
  ASSERT_GT(cut.span_granules, 1U);
  const std::uint32_t orphan = carve(kBin);
  EXPECT_EQ(pop_all(kBin).size(), cut.block_count);
  heap().detach();
  heap().attach({&session_, &view_, kMe, 0, data_.base(), cells_.data()});
  std::fill(cells_.begin(), cells_.end(), detail::SpanCell{});
  constexpr std::uint32_t kInUse = 7;
  for (std::uint32_t i = 0; i < cut.block_count; ++i) {
    const std::uint32_t owner = i == kInUse  ? kMe + 1
                                : i % 2 == 0 ? OwnWord::kFree
                                             : OwnWord::kFreed;
    view_.word(orphan, i).store_release(OwnWord::make(owner, i));
  }
  for (int i = 0; i < 40; ++i) (void)carve(kBin);  // more than one refill looks at
  EXPECT_EQ(pop_all(kBin).size(), 40 * cut.block_count);

  heap().adopt_span(kBin, orphan, kGranules * kGranuleBytes);
  std::set<void*> blocks;
  while (heap().collect(kBin)) {
    for (void* const block : pop_all(kBin)) EXPECT_TRUE(blocks.insert(block).second);
  }
  EXPECT_EQ(blocks.size(), cut.block_count - 1);
  EXPECT_FALSE(
      blocks.contains(data() + orphan * kGranuleBytes + region::block_offset(cut, kInUse)));
  for (void* const block : blocks) EXPECT_TRUE(detail::try_push(heap(), block));
}

TEST_F(ThreadHeapTest, ADetachedHeapServesNothing) {
  (void)carve(kBin64);
  void* const block = pop(kBin64);
  EXPECT_TRUE(heap().is_attached());
  heap().detach();
  EXPECT_FALSE(heap().is_attached());
  EXPECT_EQ(pop(kBin64), nullptr);
  EXPECT_FALSE(detail::try_push(heap(), block));
}

// Allocations and frees, here and elsewhere, in any order: no block is out twice, and none that is
// free is forgotten for good.
TEST_F(ThreadHeapTest, RandomOperationsAgreeWithAnOracle) {
  const auto range = test::seeds(1);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    constexpr std::uint32_t kBins[] = {0, kBin64, region::bin_of(2000)};
    std::map<void*, std::pair<std::uint32_t, std::uint32_t>> live;  // block -> bin, first granule
    std::map<std::uint32_t, std::uint32_t> firsts;                  // first granule -> bin
    const auto first_of = [&](void* block) {
      const auto granule = static_cast<std::uint32_t>(
          static_cast<std::size_t>(static_cast<std::byte*>(block) - data()) / kGranuleBytes);
      return std::prev(firsts.upper_bound(granule))->first;
    };
    for (int i = 0; i < 100'000; ++i) {
      const std::uint32_t bin = kBins[random.below(3U)];
      if (live.size() < 5000 && random.percent(60)) {
        void* block = pop(bin);
        if (block == nullptr && heap().collect(bin)) block = pop(bin);
        if (block == nullptr && granules_left() >= 4) {
          firsts[carve(bin)] = bin;
          block = pop(bin);
        }
        if (block == nullptr) continue;
        ASSERT_TRUE(live.emplace(block, std::pair{bin, first_of(block)}).second) << "out twice";
      } else if (!live.empty()) {
        const std::size_t place = random.below(std::min<std::size_t>(live.size(), 100));
        const auto any = std::next(live.begin(), static_cast<std::ptrdiff_t>(place));
        const auto [of_bin, first] = any->second;
        if (random.percent(30)) {
          free_elsewhere(of_bin, first, any->first);
        } else {
          push(of_bin, any->first);
        }
        live.erase(any);
      }
    }
    // Everything that is free can be had again.
    std::size_t total = 0;
    for (const auto& [first, bin] : firsts) total += kSizeClasses.at(bin).block_count;
    for (const std::uint32_t bin : kBins) {
      for (int idle = 0; idle < 20;) {
        void* const block = pop(bin);
        if (block != nullptr) {
          ASSERT_TRUE(live.emplace(block, std::pair{bin, 0U}).second) << "out twice";
        } else if (!heap().collect(bin)) {
          ++idle;
        }
      }
    }
    EXPECT_EQ(live.size(), total) << "some blocks were forgotten";
  }
}

}  // namespace
}  // namespace allot
