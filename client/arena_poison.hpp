// What an arena with checks does to memory that nobody may use: fills it, and poisons it where the
// program runs under AddressSanitizer.
//
// The sanitizer's functions are weak: a liballot built without it still poisons for a program built
// with it. Poison belongs to addresses and survives unmap: unpoison before giving memory back.
#pragma once

#include <cstddef>
#include <cstdint>

namespace allot::detail {

inline constexpr unsigned char kFreshFill = 0xA5;   // pushed, never written
inline constexpr unsigned char kPoppedFill = 0xDD;  // taken back

void poison(std::uintptr_t from, std::uintptr_t to) noexcept;
void unpoison(std::uintptr_t from, std::uintptr_t to) noexcept;
void fill(std::uintptr_t from, std::uintptr_t to, unsigned char value) noexcept;

}  // namespace allot::detail
