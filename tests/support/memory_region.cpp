#include "tests/support/memory_region.hpp"

#include <algorithm>
#include <cstring>

namespace allot::test {

namespace {

constexpr std::uint64_t kWordBytesPerGranule = region::kWordsPerGranule * sizeof(std::uint32_t);

}  // namespace

MemoryRegion::MemoryRegion(std::uint64_t granules)
    : layout_{granules},
      directory_(region::FileLayout::kDescriptorsOffset),
      descriptors_(granules * sizeof(std::uint64_t)),
      heap_ledgers_(region::kHeapLimit * sizeof(region::HeapLedger)),
      span_ledgers_(granules * sizeof(region::SpanLedger)),
      words_(granules * kWordBytesPerGranule),
      vault_(core::VaultView::size_bytes(granules)) {
  directory_.open(region::FileLayout::kDescriptorsOffset);
  vault_.open(core::VaultView::size_bytes(granules));
}

void MemoryRegion::open(std::uint64_t granules) {
  descriptors_.open(granules * sizeof(std::uint64_t));
  span_ledgers_.open(granules * sizeof(region::SpanLedger));
  words_.open(granules * kWordBytesPerGranule);
}

void MemoryRegion::open_heaps(std::uint32_t heaps) {
  heap_ledgers_.open(heaps * sizeof(region::HeapLedger));
}

void MemoryRegion::punch(const core::FileRange& range) {
  if (range.file != core::RegionFile::kLedger) return;
  // A commit that failed half way may have left pages to punch that this process never opened.
  const std::uint64_t begin = range.offset_bytes - layout_.words_offset();
  const std::uint64_t end =
      std::min<std::uint64_t>(begin + range.length_bytes, words_.open_bytes());
  if (begin < end) std::memset(words_.base() + begin, 0, end - begin);
}

std::vector<std::span<std::byte>> MemoryRegion::areas() const {
  std::vector<std::span<std::byte>> out;
  for (const GuardedBytes* const part : parts()) out.emplace_back(part->base(), part->open_bytes());
  return out;
}

void MemoryRegion::copy_from(const MemoryRegion& other) {
  descriptors_.open(other.descriptors_.open_bytes());
  heap_ledgers_.open(other.heap_ledgers_.open_bytes());
  span_ledgers_.open(other.span_ledgers_.open_bytes());
  words_.open(other.words_.open_bytes());
  for (std::size_t i = 0; i < parts().size(); ++i) {
    const std::span<std::byte> to = areas()[i];
    const std::span<const std::byte> from = other.areas()[i];
    std::memcpy(to.data(), from.data(), from.size());
    std::memset(to.data() + from.size(), 0, to.size() - from.size());
  }
}

void MemoryRegion::copy_from(const region::RegionView& view, const core::VaultView& vault,
                             std::uint64_t granules, std::uint32_t heaps) {
  open(granules);
  open_heaps(heaps);
  const std::array<const void*, 6> from{&view.header(),       &view.descriptor(0), &view.heap(0),
                                        &view.span_ledger(0), &view.word(0, 0),    &vault.header()};
  for (std::size_t i = 0; i < parts().size(); ++i) {
    std::memcpy(areas()[i].data(), from.at(i), areas()[i].size());
  }
}

core::VaultView MemoryRegion::vault() const noexcept { return {vault_.base(), layout_.granules}; }

region::RegionView MemoryRegion::view() const noexcept {
  return {{directory_.base(), descriptors_.base(), heap_ledgers_.base(), span_ledgers_.base(),
           words_.base()},
          layout_.granules};
}

}  // namespace allot::test
