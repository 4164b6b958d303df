// Makes this process an older or stricter machine: system calls that the kernel refuses from now
// on.
//
// By a seccomp filter, for the rest of the process's life and in what it forks: use it in a
// ForkedChild. So the code for kernels that lack something runs on those that have it.
#pragma once

#include <cstdint>

namespace allot::test {

/// Which calls of a number are meant, by the low 32 bits of one argument.
struct ArgumentTest {
  enum class Kind : std::uint8_t { kAlways, kEquals, kHasBit };
  Kind kind = Kind::kAlways;
  unsigned index = 0;  // 0 .. 5
  std::uint32_t value = 0;
};

/// System call `number` fails with `error` from now on, if `test` holds. False if the kernel does
/// not allow such a filter.
[[nodiscard]] bool refuse_syscall(long number, int error, ArgumentTest test = {});

/// The same, for all that Allot uses and the oldest kernel that it runs on has not.
[[nodiscard]] bool refuse_what_older_kernels_lack();

}  // namespace allot::test
