// Debug modes: what is reported of mistakes, with whose block it was.

#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <allot/detail/own_word.hpp>
#include <allot/fast.hpp>
#include <allot/pool.hpp>

#include "client/heap_table.hpp"
#include "client/session_state.hpp"
#include "tests/support/debugged.hpp"
#include "tests/support/forked_child.hpp"

namespace allot {
namespace {

using detail::OwnWord;
using testing::HasSubstr;

class DebugReports : public test::Debugged {
 protected:
  /// The own word of a block of a class, of a debugged session's heap of this thread.
  static detail::Atomic<std::uint32_t>& word_of(const Session& session, const void* block) {
    const ThreadHeap& heap = *heap_table::hidden(detail::SessionAccess::state(session).slot());
    const auto offset = static_cast<std::size_t>(static_cast<const std::byte*>(block) - heap.data);
    const detail::SpanCell& cell = heap.cells[offset >> detail::kGranuleShift];
    const auto in_span =
        static_cast<std::uint32_t>(static_cast<const std::byte*>(block) - cell.base);
    const auto bin = static_cast<std::uint32_t>(cell.bin - heap.bins.data());
    return cell.words[region::block_index(heap.cut_of(bin), in_span)];
  }
};
ALLOT_CONFORMANCE_SUITE(DebugReports);

constexpr std::size_t kLarge = std::size_t{300} << 10;

TEST_P(DebugReports, ADoubleFreeHasItsStacks) {
  Session& debugged = add_session(all_modes());
  for (const std::size_t size : {std::size_t{64}, std::size_t{5000}, kLarge}) {
    void* const block = debugged.allocate(size);
    ASSERT_EQ(debugged.free(block), Errc::kOk);
    EXPECT_EQ(debugged.free(block), Errc::kDoubleFree);
    const Misuse misuse = take_report(Misuse::Kind::kDoubleFree, block);
    EXPECT_EQ(misuse.size_bytes, debugged.usable_size(block));
    EXPECT_EQ(misuse.owner, OwnWord::kFree);
    EXPECT_EQ(misuse.generation, OwnWord::generation(misuse.own_word));
    EXPECT_FALSE(misuse.allocated_at.empty());
    EXPECT_FALSE(misuse.freed_at.empty());
    EXPECT_NE(misuse.allocated_at, misuse.freed_at);
    EXPECT_THAT(describe(misuse), HasSubstr("double free of 0x"));
    EXPECT_THAT(describe(misuse), HasSubstr("; freed at conformance_tests+0x"));
  }
}

TEST_P(DebugReports, WithoutStacksTheRestIsKnown) {
  Session& debugged = add_session(reporting());
  void* const block = debugged.allocate(100);
  const auto handle = debugged.handle_of(block);
  ASSERT_EQ(debugged.free(block), Errc::kOk);
  EXPECT_EQ(debugged.free(block), Errc::kDoubleFree);
  const Misuse misuse = take_report(Misuse::Kind::kDoubleFree, block);
  EXPECT_EQ(misuse.generation, (handle->generation() + 1) & OwnWord::kGenerationMask);
  EXPECT_TRUE(misuse.allocated_at.empty());
  EXPECT_TRUE(misuse.freed_at.empty());
}

TEST_P(DebugReports, AForeignFreeNamesTheOwner) {
  Session& debugged = add_session(all_modes());
  void* const theirs = session().allocate(64);
  const auto handle = session().handle_of(theirs);
  void* const here = debugged.resolve(*handle).value();
  EXPECT_EQ(debugged.free(here), Errc::kNotOwner);
  const Misuse misuse = take_report(Misuse::Kind::kForeignFree, here);
  EXPECT_EQ(misuse.owner, session().id().session);
  EXPECT_EQ(misuse.owner_pid, static_cast<std::uint32_t>(::getpid()));
  EXPECT_EQ(misuse.generation, handle->generation());
  if (GetParam() == test::Backend::kDaemon) {
    EXPECT_EQ(misuse.owner_label, "conformance_tes");
    EXPECT_THAT(describe(misuse), HasSubstr(", conformance_tes)"));
  }
  EXPECT_EQ(session().free(theirs), Errc::kOk);
}

TEST_P(DebugReports, ABlockThatWasGivenAwayHasTheStackOfItsAllocation) {
  Session& debugged = add_session(all_modes());
  void* const block = debugged.allocate(64);
  const Handle handle = debugged.offer(block).value();
  void* const there = session().adopt(handle).value();
  EXPECT_EQ(debugged.free(block), Errc::kNotOwner);
  const Misuse misuse = take_report(Misuse::Kind::kForeignFree, block);
  EXPECT_EQ(misuse.owner, session().id().session);
  EXPECT_FALSE(misuse.allocated_at.empty());
  EXPECT_EQ(session().free(there), Errc::kOk);
}

TEST_P(DebugReports, APublishedBlockIsTheServices) {
  Session& debugged = add_session(all_modes());
  void* const block = debugged.allocate(64);
  const auto handle = debugged.publish("debugged", block);
  ASSERT_TRUE(handle);
  EXPECT_EQ(debugged.free(block), Errc::kNotOwner);
  const Misuse misuse = take_report(Misuse::Kind::kForeignFree, block);
  EXPECT_EQ(misuse.owner, OwnWord::kKept);
  EXPECT_THAT(describe(misuse), HasSubstr("owner the service"));
  EXPECT_TRUE(debugged.unpublish("debugged", *handle));
}

TEST_P(DebugReports, PointersThatAreNoBlocks) {
  Session& debugged = add_session(all_modes());
  BlockPool pool = BlockPool::open(debugged, {"mine", 64}).value();
  auto* const block = static_cast<std::byte*>(debugged.allocate(64));
  EXPECT_EQ(debugged.free(block + 16), Errc::kInteriorPointer);
  (void)take_report(Misuse::Kind::kBadPointer, block + 16);
  EXPECT_EQ(pool.free(block), Errc::kNotInPool);
  (void)take_report(Misuse::Kind::kWrongPool, block);
  // Of these a program may ask whose they are.
  int outside = 0;
  EXPECT_EQ(debugged.free(&outside), Errc::kNotInRegion);
  EXPECT_EQ(debugged.free(nullptr), Errc::kOk);
  std::array<void*, 3> blocks{debugged.allocate(64), block, block};
  EXPECT_EQ(debugged.free_n(blocks).count, 2U);
  (void)take_report(Misuse::Kind::kDoubleFree, block);
}

TEST_P(DebugReports, ACorruptWordIsFoundAtTheNextAllocation) {
  Session& debugged = add_session(all_modes());
  for (const std::size_t size : {64U, 5000U}) {
    void* const victim = debugged.allocate(size);
    ASSERT_EQ(debugged.free(victim), Errc::kOk);
    auto& word = word_of(debugged, victim);
    const std::uint32_t before = word.load_relaxed();
    word.store_relaxed(OwnWord::make(9, 77));
    void* const other = debugged.allocate(size);
    EXPECT_NE(other, victim);
    const Misuse misuse = take_report(Misuse::Kind::kCorruptWord, victim);
    EXPECT_EQ(misuse.own_word, OwnWord::make(9, 77));
    EXPECT_EQ(misuse.generation, 77U);
    word.store_relaxed(before);
    EXPECT_EQ(debugged.free(other), Errc::kOk);
  }
}

TEST_P(DebugReports, ACorruptWordIsFoundAtTheFreeAndAtTheOffer) {
  Session& debugged = add_session(reporting());
  void* const block = debugged.allocate(64);
  auto& word = word_of(debugged, block);
  const std::uint32_t before = word.load_relaxed();
  word.store_relaxed(OwnWord::make(9, 77));
  EXPECT_EQ(debugged.free(block), Errc::kCorruptWord);
  (void)take_report(Misuse::Kind::kCorruptWord, block);
  EXPECT_EQ(debugged.offer(block).error(), Errc::kCorruptWord);
  (void)take_report(Misuse::Kind::kCorruptWord, block);
  EXPECT_EQ(word.load_relaxed(), OwnWord::make(9, 77)) << "it was left alone";
  word.store_relaxed(before);
  EXPECT_EQ(debugged.free(block), Errc::kOk);
}

TEST_P(DebugReports, TheCallbackMayUseTheSession) {
  Session* debugged = nullptr;
  int calls = 0;
  DebugOptions options = filling();
  options.report = true;
  options.on_misuse = [&](const Misuse& misuse) {
    ++calls;
    void* const block = debugged->allocate(misuse.size_bytes);
    EXPECT_NE(block, nullptr);
    EXPECT_EQ(debugged->free(block), Errc::kOk);
  };
  debugged = &add_session(options);
  for (const std::size_t size : {std::size_t{64}, kLarge}) {
    auto* const block = static_cast<char*>(debugged->allocate(size));
    EXPECT_EQ(debugged->free(block), Errc::kOk);
    EXPECT_EQ(debugged->free(block), Errc::kDoubleFree);
    block[7] = 'x';
    EXPECT_EQ(debugged->free(debugged->allocate(size)), Errc::kOk);
  }
  EXPECT_EQ(calls, 4);
}

TEST_P(DebugReports, OneLineOnStandardErrorByDefault) {
  DebugOptions options;
  options.report = true;
  Session& debugged = add_session(options);
  void* const block = debugged.allocate(64);
  EXPECT_EQ(debugged.free(block), Errc::kOk);
  testing::internal::CaptureStderr();
  EXPECT_EQ(debugged.free(block), Errc::kDoubleFree);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, testing::MatchesRegex("allot: double free of 0x[0-9a-f]+ \\(64 bytes\\), own "
                                          "word 0x001[0-9a-f]{5}: owner nobody \\(free\\), "
                                          "generation [0-9]+\n"));
}

TEST_P(DebugReports, NothingIsSaidWhereNothingIsOn) {
  Session& plain = add_session();
  void* const block = plain.allocate(64);
  EXPECT_EQ(heap_table::hidden(detail::SessionAccess::state(plain).slot()), nullptr);
  testing::internal::CaptureStderr();
  EXPECT_EQ(plain.free(block), Errc::kOk);
  EXPECT_EQ(plain.free(block), Errc::kDoubleFree);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_P(DebugReports, ASlotServesSessionsWithAndWithoutModesInTurn) {
  for (int round = 0; round < 6; ++round) {
    Session& one = round % 2 == 0 ? add_session(all_modes()) : add_session();
    std::thread([&] { EXPECT_EQ(one.free(one.allocate(64)), Errc::kOk); }).join();
    void* const block = one.allocate(64);
    EXPECT_EQ(heap_table::hidden(detail::SessionAccess::state(one).slot()) == nullptr,
              round % 2 == 1);
    EXPECT_EQ(one.free(block), Errc::kOk);
    EXPECT_EQ(one.free(block), Errc::kDoubleFree);
    EXPECT_EQ(take_reports().size(), round % 2 == 0 ? 1U : 0U);
    end_session(one);
  }
}

TEST_P(DebugReports, AThreadsHeapWaitsForTheNextThread) {
  Session& debugged = add_session(reporting());
  std::set<const ThreadHeap*> heaps;
  for (int i = 0; i < 5; ++i) {
    std::thread([&] {
      EXPECT_EQ(debugged.free(debugged.allocate(64)), Errc::kOk);
      heaps.insert(heap_table::hidden(detail::SessionAccess::state(debugged).slot()));
    }).join();
  }
  EXPECT_EQ(heaps.size(), 1U);
  EXPECT_FALSE(heaps.contains(nullptr));
}

TEST_P(DebugReports, AForkedChildIsNotHeldUp) {
  Session& debugged = add_session(all_modes());
  void* const block = debugged.allocate(64);
  bool stop = false;
  std::mutex mutex;
  std::thread other([&] {
    for (;;) {
      EXPECT_EQ(debugged.free(debugged.allocate(1000)), Errc::kOk);
      const std::lock_guard lock(mutex);
      if (stop) return;
    }
  });
  for (int round = 0; round < 20; ++round) {
    EXPECT_EQ(test::run_in_child([&] {
                if (debugged.allocate(64) != nullptr) return 1;
                if (debugged.free(block) != Errc::kForked) return 2;
                if (debugged.heap_profile().error() != Errc::kForked) return 3;
                debugged = Session(debugged);
                return 0;
              }),
              test::exited(0));
  }
  {
    const std::lock_guard lock(mutex);
    stop = true;
  }
  other.join();
  EXPECT_EQ(debugged.free(block), Errc::kOk);
}

}  // namespace
}  // namespace allot
