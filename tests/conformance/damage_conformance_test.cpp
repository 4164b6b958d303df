// What other members of a region can do to our own words, and what we make of it: a damaged block is
// never handed out, never freed into a stack, and everything else goes on.

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/detail/fast_heap.hpp>
#include <allot/detail/own_word.hpp>
#include <allot/fast.hpp>
#include <allot/session.hpp>

#include "shared/region/size_class.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

using detail::OwnWord;

class Damage : public test::Conformance {
 protected:
  detail::FastHeap& heap() { return FastAccess::heap(session()); }

  /// The own word of a block of a class, which lies in a span of this thread's heap.
  detail::Atomic<std::uint32_t>& word_of(const void* block) {
    const auto offset =
        static_cast<std::size_t>(static_cast<const std::byte*>(block) - heap().data);
    const detail::SpanCell& cell = heap().cells[offset >> detail::kGranuleShift];
    const auto in_span =
        static_cast<std::uint32_t>(static_cast<const std::byte*>(block) - cell.base);
    const auto& size_class =
        region::kSizeClasses.at(static_cast<std::size_t>(cell.bin - heap().bins.data()));
    return cell.words[region::block_index(size_class, in_span)];
  }

  /// The own word of a large block of this session.
  detail::Atomic<std::uint32_t>& word_of_large(const void* block) {
    void* const small = session().allocate(16);
    const auto granule_of = [&](const void* one) {
      return (static_cast<const std::byte*>(one) - heap().data) >> detail::kGranuleShift;
    };
    const detail::SpanCell& cell = heap().cells[granule_of(small)];
    auto* const words = cell.words + (granule_of(block) - cell.first) *
                                         static_cast<std::ptrdiff_t>(region::kWordsPerGranule);
    EXPECT_EQ(session().free(small), Errc::kOk);
    return *words;
  }

  /// Allocates all that one span holds.
  std::vector<void*> allocate_span(std::size_t size_bytes) {
    std::vector<void*> blocks(region::kSizeClasses.at(region::bin_of(size_bytes)).block_count);
    for (void*& block : blocks) block = session().allocate(size_bytes);
    return blocks;
  }
};
ALLOT_CONFORMANCE_SUITE(Damage);

constexpr std::uint32_t kStranger = OwnWord::kFirstSession + 4000;

TEST_P(Damage, ALargeBlockWhoseWordWasOverwrittenIsNeverHandedOut) {
  constexpr std::size_t kBytes = std::size_t{3} << 20;
  for (const std::uint32_t planted :
       {OwnWord::make(OwnWord::kInvalid, 0), OwnWord::make(OwnWord::kKept, 5),
        OwnWord::make(kStranger, 5), OwnWord::make(OwnWord::kFree, 5) | OwnWord::kExposed,
        OwnWord::make(OwnWord::kFreed, 5) | OwnWord::kOffered,
        OwnWord::make(session().id().session, 5)}) {
    void* const victim = session().allocate(kBytes);
    auto& word = word_of_large(victim);
    ASSERT_EQ(OwnWord::owner(word.load_relaxed()), session().id().session);
    ASSERT_EQ(session().free(victim), Errc::kOk);
    const std::uint32_t before = word.load_relaxed();
    word.store_relaxed(planted);
    for (int i = 0; i < 3; ++i) {
      void* const block = session().allocate(kBytes);
      ASSERT_NE(block, nullptr);
      ASSERT_NE(block, victim) << "planted " << std::hex << planted;
      ASSERT_EQ(session().free(block), Errc::kOk);
    }
    EXPECT_EQ(word.load_relaxed(), planted) << "it was left alone";
    word.store_relaxed(before);
  }
}

TEST_P(Damage, ABlockWhoseWordWasOverwrittenIsNeverHandedOut) {
  for (const std::uint32_t planted :
       {OwnWord::make(OwnWord::kInvalid, 0), OwnWord::make(OwnWord::kKept, 5),
        OwnWord::make(OwnWord::kTaken, 5), OwnWord::make(9, 5), OwnWord::make(kStranger, 5),
        OwnWord::make(OwnWord::kFree, 5) | OwnWord::kExposed,
        OwnWord::make(OwnWord::kFree, 5) | OwnWord::kOffered,
        OwnWord::make(session().id().session, 5)}) {
    void* const victim = session().allocate(2000);
    ASSERT_EQ(session().free(victim), Errc::kOk);
    const std::uint32_t before = word_of(victim).load_relaxed();
    word_of(victim).store_relaxed(planted);
    std::set<void*> blocks;
    for (int i = 0; i < 500; ++i) {
      void* const block = session().allocate(2000);
      ASSERT_NE(block, nullptr);
      ASSERT_NE(block, victim) << "planted " << std::hex << planted;
      ASSERT_TRUE(blocks.insert(block).second);
    }
    for (void* const block : blocks) ASSERT_EQ(session().free(block), Errc::kOk);
    EXPECT_EQ(word_of(victim).load_relaxed(), planted) << "it was left alone";
    word_of(victim).store_relaxed(before);
  }
}

TEST_P(Damage, AWholeStackOfDamagedBlocksIsPassedOver) {
  std::size_t size = 64;
  for (const std::uint32_t planted :
       {OwnWord::make(kStranger, 1), OwnWord::make(OwnWord::kFree, 1) | OwnWord::kExposed,
        OwnWord::make(OwnWord::kFreed, 1) | OwnWord::kOffered}) {
    std::vector<void*> blocks = allocate_span(size);
    std::vector<std::uint32_t> before;
    for (void* const block : blocks) ASSERT_EQ(session().free(block), Errc::kOk);
    for (void* const block : blocks) {
      before.push_back(word_of(block).load_relaxed());
      word_of(block).store_relaxed(planted);
    }
    void* const other = session().allocate(size);
    ASSERT_NE(other, nullptr);
    EXPECT_EQ(std::count(blocks.begin(), blocks.end(), other), 0);
    EXPECT_EQ(session().free(other), Errc::kOk);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      word_of(blocks[i]).store_relaxed(before[i]);
    }
    size += 64;  // a class that nothing was freed to
  }
}

TEST_P(Damage, ABlockThatSomebodyFreedForUsIsCollectedOnce) {
  void* const victim = session().allocate(30'000);
  ASSERT_EQ(session().free(victim), Errc::kOk);
  word_of(victim).store_relaxed(OwnWord::make(OwnWord::kFreed, 5));
  std::set<void*> blocks;
  for (int i = 0; i < 200; ++i) {
    void* const block = session().allocate(30'000);
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(blocks.insert(block).second) << "handed out twice";
  }
  for (void* const block : blocks) ASSERT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Damage, FreeingABlockWhoseWordMakesNoSenseIsRefused) {
  void* const block = session().allocate(100);
  const std::uint32_t mine = word_of(block).load_relaxed();
  for (const auto& [planted, wanted] :
       {std::pair{OwnWord::make(OwnWord::kInvalid, 0), Errc::kCorruptWord},
        {OwnWord::make(9, 5), Errc::kCorruptWord},
        {OwnWord::make(OwnWord::kTaken, 5), Errc::kDoubleFree},
        {OwnWord::make(OwnWord::kKept, 5), Errc::kNotOwner},
        {OwnWord::make(kStranger, 5), Errc::kNotOwner}}) {
    word_of(block).store_relaxed(planted);
    EXPECT_EQ(session().free(block), wanted) << std::hex << planted;
    EXPECT_FALSE(session().offer(block).has_value());
    EXPECT_EQ(word_of(block).load_relaxed(), planted) << "it was left alone";
  }
  word_of(block).store_relaxed(mine);
  EXPECT_EQ(session().free(block), Errc::kOk);
}

// A member that stores random words and carve words while we allocate: nothing is handed out twice
// and nothing but that region's contents suffers.
TEST_P(Damage, RandomWordsNeverMakeABlockGoOutTwice) {
  const auto range = test::seeds(20);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    test::Random random(seed);
    std::set<void*> live;
    std::vector<detail::Atomic<std::uint32_t>*> words;
    for (int i = 0; i < 5000; ++i) {
      const std::uint32_t kind = random.below(100U);
      if (kind < 50) {
        void* const block = session().allocate(1 + random.below(2000U));
        ASSERT_NE(block, nullptr) << Session::last_error().message();
        ASSERT_TRUE(live.insert(block).second) << "handed out twice";
        words.push_back(&word_of(block));
      } else if (kind < 90 && !live.empty()) {
        const auto any = std::next(
            live.begin(), static_cast<std::ptrdiff_t>(random.below(std::min(live.size(), 50UL))));
        void* const block = *any;
        // A block that we still hold but whose word somebody took stays with us, unused.
        if (session().free(block) == Errc::kOk) live.erase(any);
      } else if (!words.empty()) {
        // Not free or freed: that would be a free in our name.
        const std::uint32_t owner = random.percent(50) ? kStranger : random.between(3U, 15U);
        auto* const word = words[random.below(words.size())];
        word->store_relaxed(OwnWord::make(owner, static_cast<std::uint32_t>(random.next())));
      }
    }
    region().end(session());
    open({});
  }
}

}  // namespace
}  // namespace allot
