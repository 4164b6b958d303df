// Which errors a system call may end with, of those that tests make it end with.
//
// By the manual pages: ENOMEM where they name it or the kernel allocates, EMFILE where a descriptor is made,
// ENOSPC where a file, a file system or a set of watches may be full, EINTR where the call may wait. So a
// test asks of the product what a kernel may ask. x86-64 only; elsewhere none may fail.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace allot::test {

/// Whether `process` may see `error`, one of the four, from its call of this number and these arguments.
/// Takes no lock.
[[nodiscard]] bool may_end_with(int error, pid_t process, std::uint64_t number,
                                const std::uint64_t* arguments) noexcept;

/// nullptr for one that never ends with any of them.
[[nodiscard]] const char* name_of_call(std::uint64_t number) noexcept;

}  // namespace allot::test
