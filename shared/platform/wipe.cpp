#include "shared/platform/wipe.hpp"

#include <string.h>

namespace allot::platform {

void wipe(void* memory, std::size_t size_bytes) noexcept { ::explicit_bzero(memory, size_bytes); }

}  // namespace allot::platform
