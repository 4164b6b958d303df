// Random numbers from the kernel's generator: addresses, generations, region tags, nonces.
//
// Costs a syscall: for the cold path only. If the kernel refuses, the process stops: there is no
// weaker source to fall back to.
#pragma once

#include <cstdint>
#include <span>

namespace allot::platform {

/// Fills `bytes` with unpredictable bytes. Blocks only before the kernel's pool is first ready.
void fill_random(std::span<std::byte> bytes) noexcept;

/// An unpredictable 64-bit value.
[[nodiscard]] std::uint64_t random_u64() noexcept;

}  // namespace allot::platform
