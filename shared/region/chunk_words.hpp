// Chunk words: the further own words of a block that many sessions fill in chunks.
//
// Used by the client (makes such a block, claims and fills chunks) and by the daemon (closes the
// chunks of the dead, clears, lists). Word 0 of the span is the block's own word, as of any large
// block. Behind it lies a head, written before the carve word, then one word a chunk, each on a
// cache line of its own, since two sessions write neighbours at once.
//
// A chunk word has the form of an own word: owner, no flags, and in the place of the generation how
// many units of the chunk are filled. So recovery, which turns every word of a dead session into a
// *freed* one, closes its chunks and knows nothing of them.
//
// | owner   | the chunk is                | who may change it                          |
// |---------|-----------------------------|--------------------------------------------|
// | free    | untouched                   | whoever claims it (CAS)                    |
// | session | being filled by its user    | that user: a store a push; recovery: freed |
// | freed   | closed, filled that far     | whoever claims what is left of it (CAS)    |
//
// Head words are value words; they never change but for the epoch.
#pragma once

#include <cstdint>
#include <optional>

#include <allot/chunk_usage.hpp>
#include <allot/detail/atomic.hpp>
#include <allot/detail/chunk_shape.hpp>

#include "shared/region/geometry.hpp"
#include "shared/region/value_words.hpp"

namespace allot::region {

struct ChunkWords {
  static constexpr std::uint32_t kEpoch = 1;  // how often it was cleared
  static constexpr std::uint32_t kForm = 2;   // a detail::ChunkForm
  static constexpr std::uint32_t kUnitBytes = 3;
  static constexpr std::uint32_t kChunkUnits = 4;
  static constexpr std::uint32_t kChunkCount = 5;
  static constexpr std::uint32_t kPlace = 16;  // where it was made: two bytes of text a word
  static constexpr std::uint32_t kPlaceWords = 48;
  static constexpr std::uint32_t kFirst = 64;  // word of chunk 0
  static constexpr std::uint32_t kStride = detail::kChunkWordStride;

  static constexpr std::uint32_t of_chunk(std::uint32_t chunk) noexcept {
    return kFirst + chunk * kStride;
  }
  static constexpr std::uint32_t needed(std::uint32_t chunk_count) noexcept {
    return of_chunk(chunk_count);
  }
};

static_assert(ChunkWords::needed(detail::kMaxChunks) <= kMaxWordsPerSpan &&
              ChunkWords::needed(detail::kMaxChunks + 1) > kMaxWordsPerSpan);

/// `words` are the own words of a block of chunks, `word_count` of them committed. Nothing if they
/// make no sense: members can write them.
[[nodiscard]] std::optional<detail::ChunkShape> read_chunk_head(
    const detail::Atomic<std::uint32_t>* words, std::uint32_t word_count,
    std::uint64_t block_bytes) noexcept;

/// How its chunks stand; while others fill them, each as it was at some moment. O(chunks).
[[nodiscard]] ChunkUsage sum_chunks(const detail::Atomic<std::uint32_t>* words,
                                    const detail::ChunkShape& shape) noexcept;

}  // namespace allot::region
