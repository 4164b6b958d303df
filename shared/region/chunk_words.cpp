#include "shared/region/chunk_words.hpp"

#include <algorithm>

namespace allot::region {

using detail::OwnWord;

std::optional<detail::ChunkShape> read_chunk_head(const detail::Atomic<std::uint32_t>* words,
                                                  std::uint32_t word_count,
                                                  std::uint64_t block_bytes) noexcept {
  if (word_count < ChunkWords::kFirst) return std::nullopt;
  const auto read = [&](std::uint32_t index) { return word_value(words[index].load_relaxed()); };
  const std::uint32_t form = read(ChunkWords::kForm);
  if (form != static_cast<std::uint32_t>(detail::ChunkForm::kArena) &&
      form != static_cast<std::uint32_t>(detail::ChunkForm::kArray)) {
    return std::nullopt;
  }
  const detail::ChunkShape shape{static_cast<detail::ChunkForm>(form), read(ChunkWords::kUnitBytes),
                                 read(ChunkWords::kChunkUnits), read(ChunkWords::kChunkCount)};
  if (shape.chunk_bytes() == 0 || shape.chunk_count == 0 ||
      shape.chunk_count > detail::kMaxChunks || shape.size_bytes() > block_bytes ||
      ChunkWords::needed(shape.chunk_count) > word_count) {
    return std::nullopt;
  }
  return shape;
}

ChunkUsage sum_chunks(const detail::Atomic<std::uint32_t>* words,
                      const detail::ChunkShape& shape) noexcept {
  ChunkUsage sums;
  sums.size_bytes = shape.size_bytes();
  for (std::uint32_t chunk = 0; chunk < shape.chunk_count; ++chunk) {
    const std::uint32_t word = words[ChunkWords::of_chunk(chunk)].load_acquire();
    const std::uint64_t used =
        std::uint64_t{std::min(word_value(word), shape.chunk_units)} * shape.unit_bytes;
    const std::uint64_t rest = shape.chunk_bytes() - used;
    sums.used_bytes += used;
    if (OwnWord::is_session(word)) {
      ++sums.open_chunks;
      sums.open_rest_bytes += rest;
    } else if (OwnWord::owner(word) == OwnWord::kFreed) {
      ++sums.closed_chunks;
      sums.closed_rest_bytes += rest;
    } else {
      ++sums.untouched_chunks;
    }
  }
  return sums;
}

}  // namespace allot::region
