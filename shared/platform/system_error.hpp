// Turns errno into an allot::Error that names the call that failed; tells the one that is no
// failure.
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

/// Whether a call on a non-blocking descriptor failed only because it would have had to wait.
[[nodiscard]] inline bool would_block(const Error& error) noexcept {
  return error.code == std::errc::resource_unavailable_try_again ||
         error.code == std::errc::operation_would_block;
}

}  // namespace allot::platform
