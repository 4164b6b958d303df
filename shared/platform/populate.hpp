// Maps the pages of a range at once, in one call instead of a fault a page.
#pragma once

#include <cstddef>

namespace allot::platform {

/// Maps the pages in [start, start + size_bytes) for writing; contents stay. `start` is at a page.
/// Best effort: kernels before 5.14 do not know it, and the first touch of each page does the same.
void populate(void* start, std::size_t size_bytes) noexcept;

}  // namespace allot::platform
