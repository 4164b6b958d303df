// Asks whether an address may be read or written, by doing so.
//
// A SIGSEGV or SIGBUS at exactly that address is the answer "no"; one at any other address is
// raised again and ends the process. One thread at a time.
#pragma once

#include <cstddef>

namespace allot::test {

[[nodiscard]] bool read_faults(const std::byte* address);

/// Stores a zero at `address` if that is allowed.
[[nodiscard]] bool write_faults(std::byte* address);

}  // namespace allot::test
