#include "shared/region/region_view.hpp"

#include <algorithm>

namespace allot::region {

std::optional<SpanRef> RegionView::find_span(std::uint64_t granule,
                                             std::uint64_t limit_granules) const noexcept {
  const std::uint64_t limit = std::min(granules_, limit_granules);
  if (granule >= limit) return std::nullopt;
  // A1 pairs with R1 in RegionCore::write_descriptors(): what a descriptor names was prepared
  // before.
  auto found = SpanDescriptor::decode(descriptor(granule).load_acquire());
  std::uint64_t first = granule;
  if (found.state == SpanState::kInterior) {
    if (found.granules > granule) return std::nullopt;
    first = granule - found.granules;
    found = SpanDescriptor::decode(descriptor(first).load_acquire());
  }
  if (!found.is_head() || granule - first >= found.granules || found.granules > limit - first) {
    return std::nullopt;
  }
  const std::uint64_t words = std::uint64_t{found.word_units} * kWordsPerUnit;
  if (words > std::uint64_t{found.granules} * kWordsPerGranule) return std::nullopt;
  return SpanRef{static_cast<std::uint32_t>(first), found, static_cast<std::uint32_t>(words)};
}

Carving RegionView::carving_of(const SpanRef& span) const noexcept {
  // A2 pairs with R2 in ThreadHeap: a carve word is written after the own words of its blocks.
  const std::uint64_t word = span_ledger(span.first).carve.load_acquire();
  Carving out;
  out.word = word;
  switch (CarveWord::kind(word)) {
    case CarveWord::kNone:
      if (word != 0) out.kind = Carving::Kind::kInvalid;
      return out;
    case CarveWord::kLarge:
    case CarveWord::kChunked:
      if (word >> 8 != 0 || span.word_count == 0) break;
      out.chunked = word == CarveWord::kChunked;
      out.kind = Carving::Kind::kLarge;
      out.bin = kLargeBin;
      out.block_bytes = std::uint64_t{span.head.granules} * kGranuleBytes;
      out.block_count = 1;
      return out;
    case CarveWord::kBlocks: {
      const std::uint64_t bin = CarveWord::bin(word);
      const std::uint64_t block_bytes = CarveWord::block_bytes(word);
      if (bin < kClassCount && block_bytes == 0) {
        out.cut = kSizeClasses[bin];
      } else if (bin >= kFirstPoolBin && bin < kBinsPerHeap && is_block_size(block_bytes)) {
        out.cut = size_class_for(static_cast<std::uint32_t>(block_bytes));
      } else {
        break;
      }
      if (out.cut.span_granules != span.head.granules || out.cut.block_count > span.word_count) {
        break;
      }
      out.kind = Carving::Kind::kBlocks;
      out.bin = static_cast<std::uint32_t>(bin);
      out.block_bytes = out.cut.block_bytes;
      out.block_count = out.cut.block_count;
      return out;
    }
    default: break;
  }
  out.kind = Carving::Kind::kInvalid;
  return out;
}

Errc RegionView::find_block(std::uint64_t offset_bytes, std::uint64_t limit_granules,
                            BlockRef& found) const noexcept {
  const std::uint64_t granule = offset_bytes / kGranuleBytes;
  if (granule >= std::min(granules_, limit_granules)) return Errc::kNotInRegion;
  const auto span = find_span(granule, limit_granules);
  if (!span) return Errc::kNotABlock;
  const Carving carving = carving_of(*span);
  const std::uint64_t in_span = offset_bytes - span->first * kGranuleBytes;
  std::uint32_t index = 0;
  if (carving.kind == Carving::Kind::kBlocks) {
    index = block_index(carving.cut, static_cast<std::uint32_t>(in_span));
    if (index == kNotABlockStart) return Errc::kInteriorPointer;
  } else if (carving.kind == Carving::Kind::kLarge) {
    if (in_span != 0) return Errc::kInteriorPointer;
  } else {
    return Errc::kNotABlock;
  }
  found = BlockRef{*span, carving, index, &word(span->first, index)};
  return Errc::kOk;
}

}  // namespace allot::region
