// ChunkShape: how a block that is shared in chunks is divided, and what it is used as.
//
// Its numbers lie in shared memory, in the block's head words (shared/region/chunk_words.hpp).
#pragma once

#include <cstdint>

#include <allot/detail/own_word.hpp>

namespace allot::detail {

enum class ChunkForm : std::uint8_t { kArena = 1, kArray = 2 };

inline constexpr std::uint32_t kMaxChunks = 4092;
inline constexpr std::uint32_t kMaxChunkUnits = OwnWord::kGenerationMask;
inline constexpr std::uint32_t kChunkWordStride = 16;  // of chunk words: a cache line

/// Bounds: unit_bytes and chunk_units at most kMaxChunkUnits, chunk_count at most kMaxChunks.
struct ChunkShape {
  ChunkForm form = ChunkForm::kArena;
  std::uint32_t unit_bytes = 0;
  std::uint32_t chunk_units = 0;
  std::uint32_t chunk_count = 0;

  [[nodiscard]] constexpr std::uint64_t chunk_bytes() const noexcept {
    return std::uint64_t{unit_bytes} * chunk_units;
  }
  [[nodiscard]] constexpr std::uint64_t size_bytes() const noexcept {
    return chunk_bytes() * chunk_count;
  }
};

}  // namespace allot::detail
