// The daemon's log: one line a fact, to stderr.
//
// Used by the adapters that decide what becomes of an error; the core does not log. Under systemd
// lines carry a priority and no time, since the journal adds its own. Text that a peer chose is
// never put into a line unescaped: one_line() makes it printable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace allot::daemon {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

inline constexpr std::string_view kLogLevelNames = "debug, info, warning or error";

[[nodiscard]] std::optional<LogLevel> log_level_of(std::string_view name) noexcept;

/// Sets up the log; call it once, before the first line.
void start_log(LogLevel level);

void log_line(LogLevel level, std::string_view text);
inline void log_debug(std::string_view text) { log_line(LogLevel::kDebug, text); }
inline void log_info(std::string_view text) { log_line(LogLevel::kInfo, text); }
inline void log_warning(std::string_view text) { log_line(LogLevel::kWarning, text); }
inline void log_error(std::string_view text) { log_line(LogLevel::kError, text); }

/// `text` with everything but printable ASCII replaced by '?', cut to 200 bytes.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace allot::daemon
