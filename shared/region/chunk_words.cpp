#include "shared/region/chunk_words.hpp"

#include <algorithm>

namespace allot::region {

using detail::OwnWord;

std::optional<ChunkHead> read_chunk_head(const detail::Atomic<std::uint32_t>* words,
                                         std::uint32_t word_count,
                                         std::uint64_t block_bytes) noexcept {
  if (word_count < ChunkWords::kFirst) return std::nullopt;
  const auto read = [&](std::uint32_t index) {
    return ChunkWords::value(words[index].load_relaxed());
  };
  const std::uint32_t form = read(ChunkWords::kForm);
  if (form != static_cast<std::uint32_t>(detail::ChunkForm::kArena) &&
      form != static_cast<std::uint32_t>(detail::ChunkForm::kArray)) {
    return std::nullopt;
  }
  const ChunkHead head{static_cast<detail::ChunkForm>(form), read(ChunkWords::kUnitBytes),
                       read(ChunkWords::kChunkUnits), read(ChunkWords::kChunkCount)};
  if (head.chunk_bytes() == 0 || head.chunk_count == 0 ||
      head.chunk_count > ChunkWords::kMaxChunks ||
      head.chunk_bytes() * head.chunk_count > block_bytes ||
      ChunkWords::needed(head.chunk_count) > word_count) {
    return std::nullopt;
  }
  return head;
}

ChunkSums sum_chunks(const detail::Atomic<std::uint32_t>* words, const ChunkHead& head) noexcept {
  ChunkSums sums;
  for (std::uint32_t chunk = 0; chunk < head.chunk_count; ++chunk) {
    const std::uint32_t word = words[ChunkWords::of_chunk(chunk)].load_acquire();
    const std::uint64_t used =
        std::uint64_t{std::min(ChunkWords::value(word), head.chunk_units)} * head.unit_bytes;
    const std::uint64_t rest = head.chunk_bytes() - used;
    sums.used_bytes += used;
    if (OwnWord::is_session(word)) {
      ++sums.open;
      sums.open_rest_bytes += rest;
    } else if (OwnWord::owner(word) == OwnWord::kFreed) {
      ++sums.closed;
      sums.closed_rest_bytes += rest;
    } else {
      ++sums.untouched;
    }
  }
  return sums;
}

std::string read_chunk_place(const detail::Atomic<std::uint32_t>* words, std::uint32_t word_count) {
  std::string place;
  for (std::uint32_t i = 0; i < ChunkWords::kPlaceWords && ChunkWords::kPlace + i < word_count;
       ++i) {
    const std::uint32_t value = ChunkWords::value(words[ChunkWords::kPlace + i].load_relaxed());
    for (const unsigned shift : {0U, 8U}) {
      const auto byte = static_cast<unsigned char>(value >> shift);
      if (byte == 0) return place;
      place += byte >= ' ' && byte <= '~' ? static_cast<char>(byte) : '?';
    }
  }
  return place;
}

}  // namespace allot::region
