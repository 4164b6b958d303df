// Notes of arenas: what is written is read, what makes no sense is not, and nothing half written is.

#include "shared/region/arena_note.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <string>
#include <thread>

#include "shared/region/chunk_words.hpp"
#include "shared/region/value_words.hpp"
#include "tests/support/core_region.hpp"

namespace allot::region {
namespace {

using Words = ArenaNoteWords;

class ArenaNotes : public testing::Test {
 protected:
  std::array<detail::Atomic<std::uint32_t>, Words::kStride> words_{};
  detail::Atomic<std::uint32_t>* record_ = words_.data();
};

TEST_F(ArenaNotes, AnUnusedRecordHoldsNone) { EXPECT_FALSE(read_note(record_).has_value()); }

TEST_F(ArenaNotes, WhatIsWrittenIsRead) {
  begin_note(record_, NotedKind::kVirtual, "frames", "a/b.cpp:12");
  const auto begun = read_note(record_);
  ASSERT_TRUE(begun.has_value());
  EXPECT_EQ(begun->kind, NotedKind::kVirtual);
  EXPECT_EQ(begun->name, "frames");
  EXPECT_EQ(begun->made_at, "a/b.cpp:12");
  EXPECT_EQ(begun->figures.used_bytes, 0U);
  constexpr std::uint64_t kMost = (std::uint64_t{1} << 54) - 1;
  update_note(record_, {kMost, (std::uint64_t{1} << 36) + 1, std::uint64_t{1} << 18});
  const auto updated = read_note(record_);
  ASSERT_TRUE(updated.has_value());
  EXPECT_EQ(updated->figures.used_bytes, kMost);
  EXPECT_EQ(updated->figures.committed_bytes, (std::uint64_t{1} << 36) + 1);
  EXPECT_EQ(updated->figures.reserved_bytes, std::uint64_t{1} << 18);
  EXPECT_EQ(updated->name, "frames");
  end_note(record_);
  EXPECT_FALSE(read_note(record_).has_value());
}

TEST_F(ArenaNotes, ANoteThatFollowsHoldsNothingOfTheLast) {
  begin_note(record_, NotedKind::kFixed, std::string(31, 'n'), std::string(72, 'p'));
  update_note(record_, {1, 2, 3});
  EXPECT_EQ(read_note(record_).value().name, std::string(31, 'n'));
  EXPECT_EQ(read_note(record_).value().made_at, std::string(72, 'p'));
  end_note(record_);
  begin_note(record_, NotedKind::kChained, "x", "");
  const ArenaNote note = read_note(record_).value();
  EXPECT_EQ(note.kind, NotedKind::kChained);
  EXPECT_EQ(note.name, "x");
  EXPECT_EQ(note.made_at, "");
  EXPECT_EQ(note.figures.committed_bytes, 0U);
}

TEST_F(ArenaNotes, EachWordIsAFreeOwnWord) {
  begin_note(record_, NotedKind::kChainedVirtual, "name", "place");
  update_note(record_, {~std::uint64_t{0}, ~std::uint64_t{0}, ~std::uint64_t{0}});
  for (const auto& word : words_) {
    const std::uint32_t found = word.load_relaxed();
    EXPECT_TRUE(found == 0 || found == value_word(word_value(found))) << found;
  }
}

TEST_F(ArenaNotes, WhatMakesNoSenseIsNone) {
  begin_note(record_, NotedKind::kFixed, "name", "place");
  words_[Words::kKind].store_relaxed(value_word(5));
  EXPECT_FALSE(read_note(record_).has_value());
  words_[Words::kKind].store_relaxed(value_word(1));
  words_[Words::kName].store_relaxed(value_word('a' | '\x1B' << 8));
  EXPECT_EQ(read_note(record_).value().name.substr(0, 2), "a?");
  words_[Words::kSequence].store_relaxed(value_word(7));  // for ever being written
  EXPECT_FALSE(read_note(record_).has_value());
}

TEST_F(ArenaNotes, AWriterThatDiedInTheMiddleStopsNoLaterOne) {
  words_[Words::kSequence].store_relaxed(value_word(7));
  begin_note(record_, NotedKind::kFixed, "name", "place");
  EXPECT_EQ(read_note(record_).value().name, "name");
}

TEST_F(ArenaNotes, ReadersSeeFiguresThatBelongTogether) {
  begin_note(record_, NotedKind::kFixed, "name", "place");
  constexpr std::uint64_t kOdd = 0x3'0003'0003;  // each part of a number changes
  std::atomic<bool> is_done{false};
  std::thread writer([&] {
    for (std::uint64_t i = 0; i < 20'000; ++i) update_note(record_, {i * kOdd, i * kOdd, i * kOdd});
    is_done = true;
  });
  std::uint64_t last = 0;
  std::uint64_t read = 0;
  while (!is_done || read == 0) {
    const auto note = read_note(record_);
    if (!note) continue;
    ++read;
    EXPECT_EQ(note->figures.used_bytes, note->figures.committed_bytes);
    EXPECT_EQ(note->figures.used_bytes, note->figures.reserved_bytes);
    EXPECT_GE(note->figures.used_bytes, last);
    last = note->figures.used_bytes;
  }
  writer.join();
}

TEST(FindNotes, TakesOnlyABlockOfNotesWithAllItsWords) {
  test::CoreRegion region;
  const std::uint32_t session = region.open_session();
  const auto span_of = [&](std::uint32_t words, std::uint64_t carve, std::uint32_t form) {
    const std::uint64_t span = region.granted(session, 1, 1, words);
    region.word(span, ChunkWords::kForm).store_relaxed(value_word(form));
    region.view().span_ledger(span).carve.store_release(carve);
    return span;
  };
  const std::uint64_t span = span_of(kWordsPerGranule, CarveWord::kChunked, Words::kForm);
  EXPECT_EQ(find_notes(region.view(), span), &region.word(span, Words::of_record(0)));
  const auto is_none = [&](std::uint64_t first) {
    return find_notes(region.view(), first) == nullptr;
  };
  EXPECT_TRUE(is_none(span_of(kWordsPerGranule, CarveWord::kLarge, Words::kForm)));
  EXPECT_TRUE(is_none(span_of(kWordsPerGranule, CarveWord::kChunked, Words::kForm - 1)));
  EXPECT_TRUE(
      is_none(span_of(kWordsPerGranule - kWordsPerUnit, CarveWord::kChunked, Words::kForm)));
  EXPECT_TRUE(is_none(region->high_water_granules())) << "no span";
}

}  // namespace
}  // namespace allot::region
