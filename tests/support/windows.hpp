// Windows for tests: over a memory file of 4 MiB.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>

#include "shared/platform/memfd.hpp"
#include "shared/platform/window.hpp"

namespace allot::test {

inline constexpr std::size_t kKiB = 1024;
inline constexpr std::size_t kMiB = 1024 * kKiB;
inline constexpr std::size_t kGiB = 1024 * kMiB;
inline constexpr std::size_t kFileBytes = 4 * kMiB;

[[nodiscard]] inline platform::Descriptor make_file() {
  return platform::make_sealed_memfd("window_test", kFileBytes).value();
}

[[nodiscard]] inline platform::Window reserve(std::size_t bytes, std::size_t alignment_bytes = 0) {
  return platform::Window::reserve({.reserve_bytes = bytes, .alignment_bytes = alignment_bytes})
      .value();
}

[[nodiscard]] inline std::uintptr_t address_of(const std::byte* place) {
  return reinterpret_cast<std::uintptr_t>(place);
}

/// Whether nothing at all is mapped in [start, start + size). Leaves it so.
[[nodiscard]] inline bool is_free(std::byte* start, std::size_t size_bytes) {
  void* const got =
      ::mmap(start, size_bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (got != MAP_FAILED) ::munmap(got, size_bytes);
  return got == start;
}

}  // namespace allot::test
