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
// Head words are *free* words that hold a number below 2^18; they never change but for the epoch.
#pragma once

#include <cstdint>

#include <allot/detail/own_word.hpp>

#include "shared/region/geometry.hpp"

namespace allot::region {

struct ChunkWords {
  static constexpr std::uint32_t kEpoch = 1;  // how often it was cleared
  static constexpr std::uint32_t kForm = 2;   // a detail::ChunkForm
  static constexpr std::uint32_t kUnitBytes = 3;
  static constexpr std::uint32_t kChunkUnits = 4;
  static constexpr std::uint32_t kChunkCount = 5;
  static constexpr std::uint32_t kPlace = 16;  // where it was made: two bytes of text a word
  static constexpr std::uint32_t kPlaceWords = 48;
  static constexpr std::uint32_t kFirst = 64;   // word of chunk 0
  static constexpr std::uint32_t kStride = 16;  // a cache line
  static constexpr std::uint32_t kMaxValue = detail::OwnWord::kGenerationMask;
  static constexpr std::uint32_t kMaxChunks = (kMaxWordsPerSpan - kFirst) / kStride;

  static constexpr std::uint32_t of_chunk(std::uint32_t chunk) noexcept {
    return kFirst + chunk * kStride;
  }
  static constexpr std::uint32_t needed(std::uint32_t chunk_count) noexcept {
    return of_chunk(chunk_count);
  }
  static constexpr std::uint32_t head(std::uint32_t value) noexcept {
    return detail::OwnWord::make(detail::OwnWord::kFree, value);
  }
  static constexpr std::uint32_t value(std::uint32_t word) noexcept {
    return detail::OwnWord::generation(word);
  }
};

}  // namespace allot::region
