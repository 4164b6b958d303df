// Turns errno into an allot::Error that names the call that failed.
#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include <allot/expected.hpp>

namespace allot::platform {

/// The Error for the calling thread's errno after `call` (a syscall's name, or a short phrase).
inline Error system_error(std::string call) {
  return {std::error_code(errno, std::generic_category()), std::move(call)};
}

}  // namespace allot::platform
