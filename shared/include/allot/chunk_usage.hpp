// ChunkUsage: how full a shared arena or array is.
#pragma once

#include <cstdint>

namespace allot {

/// How the chunks of a shared arena or array stand. Others may change it meanwhile.
struct ChunkUsage {
  std::uint32_t untouched_chunks = 0;
  std::uint32_t open_chunks = 0;    // being filled by somebody who lives
  std::uint32_t closed_chunks = 0;  // full, or left by their user, who may have died
  std::uint64_t used_bytes = 0;
  std::uint64_t size_bytes = 0;
  /// Of open and closed chunks, not filled. An open chunk's rest is its user's; a closed one's goes
  /// to whoever needs room.
  std::uint64_t open_rest_bytes = 0;
  std::uint64_t closed_rest_bytes = 0;
};

}  // namespace allot
