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

/// Whether a call failed because this process or the machine has too little of something just now:
/// it may succeed at another time, as it is.
[[nodiscard]] inline bool is_shortage(const std::error_code& code) noexcept {
  return code == std::errc::too_many_files_open ||
         code == std::errc::too_many_files_open_in_system || code == std::errc::not_enough_memory ||
         code == std::errc::no_buffer_space || code == std::errc::interrupted ||
         code == std::error_code(ETOOMANYREFS, std::generic_category());
}

}  // namespace allot::platform
