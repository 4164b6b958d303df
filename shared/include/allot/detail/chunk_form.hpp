// ChunkForm: what a block that is shared in chunks is used as. Its numbers lie in shared memory.
#pragma once

#include <cstdint>

namespace allot::detail {

enum class ChunkForm : std::uint8_t { kArena = 1, kArray = 2 };

}  // namespace allot::detail
