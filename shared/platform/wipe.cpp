#include "shared/platform/wipe.hpp"

#include <string.h>  // NOLINT(modernize-deprecated-headers): explicit_bzero() is not in <cstring>

namespace allot::platform {

void wipe(void* memory, std::size_t size_bytes) noexcept { ::explicit_bzero(memory, size_bytes); }

}  // namespace allot::platform
