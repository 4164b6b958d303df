// Overwrites memory with zeros by stores that no compiler may drop.
#pragma once

#include <cstddef>

namespace allot::platform {

/// Sets `size_bytes` bytes at `memory` to zero even if nothing reads them afterwards.
void wipe(void* memory, std::size_t size_bytes) noexcept;

}  // namespace allot::platform
