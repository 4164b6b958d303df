// The page size of this machine, asked once. Never assume 4096.
#pragma once

#include <cstddef>

namespace allot::platform {

/// Bytes in a page: a power of two. Any thread.
[[nodiscard]] std::size_t page_size_bytes() noexcept;

/// `bytes` rounded up to whole pages; the caller keeps it below 2^63.
[[nodiscard]] inline std::size_t round_up_to_page(std::size_t bytes) noexcept {
  const std::size_t mask = page_size_bytes() - 1;
  return (bytes + mask) & ~mask;
}

}  // namespace allot::platform
