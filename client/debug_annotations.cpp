#include "client/debug_annotations.hpp"

#include <cstdint>

#include "client/arena_poison.hpp"

// Macros only: a few instructions that mean something to Valgrind and nothing to a processor.
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#else
#define VALGRIND_MAKE_MEM_NOACCESS(address, bytes) 0                // NOLINT: Valgrind's names
#define VALGRIND_MAKE_MEM_DEFINED(address, bytes) 0                 // NOLINT
#define VALGRIND_MAKE_MEM_UNDEFINED(address, bytes) 0               // NOLINT
#define VALGRIND_MAKE_MEM_DEFINED_IF_ADDRESSABLE(address, bytes) 0  // NOLINT
#endif

namespace allot::detail {

void annotate_unusable(std::byte* from, std::size_t bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(from);
  poison(begin, begin + bytes);
  (void)VALGRIND_MAKE_MEM_NOACCESS(from, bytes);
}

void annotate_defined(std::byte* from, std::size_t bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(from);
  unpoison(begin, begin + bytes);
  (void)VALGRIND_MAKE_MEM_DEFINED(from, bytes);
}

void annotate_undefined(std::byte* from, std::size_t bytes) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(from);
  unpoison(begin, begin + bytes);
  (void)VALGRIND_MAKE_MEM_UNDEFINED(from, bytes);
}

void annotate_written([[maybe_unused]] std::byte* from,
                      [[maybe_unused]] std::size_t bytes) noexcept {
  (void)VALGRIND_MAKE_MEM_DEFINED_IF_ADDRESSABLE(from, bytes);
}

}  // namespace allot::detail
