// What debug modes say about bytes to AddressSanitizer and to Valgrind's memcheck, where the program
// runs under one of them; else each call does nothing.
#pragma once

#include <cstddef>

namespace allot::detail {

/// Nobody may use them.
void annotate_unusable(std::byte* from, std::size_t bytes) noexcept;
/// They may be used, and have been written.
void annotate_defined(std::byte* from, std::size_t bytes) noexcept;
/// They may be used, and are to be written before they are read.
void annotate_undefined(std::byte* from, std::size_t bytes) noexcept;

/// Those of them that may be used have been written, by whomever.
void annotate_written(std::byte* from, std::size_t bytes) noexcept;

}  // namespace allot::detail
