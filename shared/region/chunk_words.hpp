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
#include <optional>
#include <string>

#include <allot/detail/atomic.hpp>
#include <allot/detail/chunk_form.hpp>
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

/// A block's head words, checked: chunk_count chunks and their words lie inside the block and its words.
struct ChunkHead {
  detail::ChunkForm form = detail::ChunkForm::kArena;
  std::uint32_t unit_bytes = 0;
  std::uint32_t chunk_units = 0;
  std::uint32_t chunk_count = 0;

  [[nodiscard]] std::uint64_t chunk_bytes() const noexcept {
    return std::uint64_t{unit_bytes} * chunk_units;
  }
};

struct ChunkSums {
  std::uint32_t untouched = 0;
  std::uint32_t open = 0;
  std::uint32_t closed = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t open_rest_bytes = 0;    // of open chunks, not filled
  std::uint64_t closed_rest_bytes = 0;  // of closed ones
};

/// `words` are the own words of a block of chunks, `word_count` of them committed. Nothing if they make
/// no sense: members can write them.
[[nodiscard]] std::optional<ChunkHead> read_chunk_head(const detail::Atomic<std::uint32_t>* words,
                                                       std::uint32_t word_count,
                                                       std::uint64_t block_bytes) noexcept;

/// How its chunks stand; while others fill them, each as it was at some moment. O(chunks).
[[nodiscard]] ChunkSums sum_chunks(const detail::Atomic<std::uint32_t>* words,
                                   const ChunkHead& head) noexcept;

/// Where it was made, as the maker said it: anything but printable ASCII becomes '?'.
[[nodiscard]] std::string read_chunk_place(const detail::Atomic<std::uint32_t>* words,
                                           std::uint32_t word_count);

}  // namespace allot::region
