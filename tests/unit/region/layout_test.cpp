#include "shared/region/layout.hpp"

#include <cstdint>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/memory_region.hpp"

namespace allot::region {
namespace {

constexpr std::uint64_t kSomeGranules[] = {kMinGranules, 17, 1000, 1 << 20, kMaxGranules};

TEST(FileLayout, TablesOfTheDirectoryFollowEachOtherWithoutOverlap) {
  EXPECT_GE(FileLayout::kSessionsOffset, sizeof(DirectoryHeader));
  EXPECT_GE(FileLayout::kHeapsOffset,
            FileLayout::kSessionsOffset + kSessionLimit * sizeof(SessionEntry));
  EXPECT_GE(FileLayout::kNamesOffset, FileLayout::kHeapsOffset + kHeapLimit * sizeof(HeapEntry));
  EXPECT_GE(FileLayout::kDescriptorsOffset,
            FileLayout::kNamesOffset + kNameLimit * sizeof(NameEntry));
  for (const std::uint64_t granules : kSomeGranules) {
    EXPECT_GE(FileLayout{granules}.directory_bytes(),
              FileLayout::kDescriptorsOffset + granules * sizeof(std::uint64_t));
  }
}

TEST(FileLayout, TablesOfTheLedgerFollowEachOtherWithoutOverlap) {
  EXPECT_EQ(FileLayout::kHeapLedgersOffset, 0U);
  EXPECT_GE(FileLayout::kSpanLedgersOffset, kHeapLimit * sizeof(HeapLedger));
  for (const std::uint64_t granules : kSomeGranules) {
    const FileLayout layout{granules};
    EXPECT_GE(layout.words_offset(),
              FileLayout::kSpanLedgersOffset + granules * sizeof(SpanLedger));
    EXPECT_EQ(layout.ledger_bytes(),
              layout.words_offset() + granules * kWordsPerGranule * sizeof(std::uint32_t));
    EXPECT_EQ(layout.data_bytes(), granules * kGranuleBytes);
  }
}

// Each of these begins a mapping of its own, on machines with pages of up to 64 KiB.
TEST(FileLayout, WindowsBeginAtMultiplesOfTheLargestPage) {
  EXPECT_EQ(FileLayout::kDescriptorsOffset % kGranuleBytes, 0U);
  EXPECT_EQ(FileLayout::kSpanLedgersOffset % kGranuleBytes, 0U);
  for (const std::uint64_t granules : kSomeGranules) {
    EXPECT_EQ(FileLayout{granules}.words_offset() % kGranuleBytes, 0U) << granules;
    EXPECT_EQ(FileLayout{granules}.directory_bytes() % kGranuleBytes, 0U) << granules;
  }
}

TEST(Layout, ZeroedMemoryReadsAsAbsent) {
  const test::MemoryRegion memory(kMinGranules);
  const RegionView view = memory.view();
  EXPECT_EQ(view.session(kSessionLimit - 1).state.load_relaxed(),
            static_cast<std::uint32_t>(SessionState::kAbsent));
  EXPECT_EQ(view.heap(kHeapLimit - 1).session.load_relaxed(), 0U);
  EXPECT_EQ(view.name(kNameLimit - 1).state.load_relaxed(), 0U);
  EXPECT_EQ(SpanDescriptor::decode(0).state, SpanState::kAbsent);
  EXPECT_EQ(CarveWord::kind(0), CarveWord::kNone);
  EXPECT_EQ(detail::OwnWord::owner(0), detail::OwnWord::kInvalid);
}

TEST(CarveWord, KeepsKindAndBinApart) {
  for (std::uint32_t bin = 0; bin < kBinsPerHeap; ++bin) {
    const std::uint64_t word = CarveWord::blocks(bin);
    EXPECT_EQ(CarveWord::kind(word), CarveWord::kBlocks);
    EXPECT_EQ(CarveWord::bin(word), bin);
  }
}

TEST(Fingerprint, IsTheFnv1aHashOfTheLayoutText) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char c : layout_text()) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211ULL;
  }
  EXPECT_EQ(fingerprint(), hash);
}

TEST(LayoutText, IsALineOfNameAndNumberForEachFactAndRepeatsNoFieldOrConstant) {
  std::istringstream text(layout_text());
  std::set<std::string> seen;
  std::string line;
  while (std::getline(text, line)) {
    const std::size_t space = line.rfind(' ');
    ASSERT_NE(space, std::string::npos) << line;
    EXPECT_EQ(line.find_first_not_of("0123456789", space + 1), std::string::npos) << line;
    const std::string name = line.substr(0, space);
    if (name.starts_with("class.")) continue;  // once a class
    EXPECT_TRUE(seen.insert(name).second) << line;
  }
  EXPECT_GT(seen.size(), 50U);
}

}  // namespace
}  // namespace allot::region
