#include "client/arena_poison.hpp"

#include <cstring>

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the sanitizer's names.
__attribute__((weak)) void __asan_poison_memory_region(const volatile void* address,
                                                       std::size_t size);
__attribute__((weak)) void __asan_unpoison_memory_region(const volatile void* address,
                                                         std::size_t size);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace allot::detail {

namespace {

void* pointer(std::uintptr_t address) noexcept {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): a bump cursor
}

}  // namespace

void poison(std::uintptr_t from, std::uintptr_t to) noexcept {
  if (&__asan_poison_memory_region != nullptr && from < to) {
    __asan_poison_memory_region(pointer(from), to - from);
  }
}

void unpoison(std::uintptr_t from, std::uintptr_t to) noexcept {
  if (&__asan_unpoison_memory_region != nullptr && from < to) {
    __asan_unpoison_memory_region(pointer(from), to - from);
  }
}

void fill(std::uintptr_t from, std::uintptr_t to, unsigned char value) noexcept {
  if (from < to) std::memset(pointer(from), value, to - from);
}

}  // namespace allot::detail
