#include "shared/platform/populate.hpp"

#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace allot::platform {

void populate(void* start, std::size_t size_bytes) noexcept {
  (void)::madvise(start, size_bytes, MADV_POPULATE_WRITE);
}

}  // namespace allot::platform
