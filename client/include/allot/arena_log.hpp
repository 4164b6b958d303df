// arena_log(): an arena's events as lines of a spdlog logger.
//
// In a library of its own, allot_log, so that liballot does not need spdlog; off unless an
// arena is made with it. Pushes and pops are logged at trace, scopes at debug, growth, clear and
// release at info. spdlog's own threads and sinks apply; an exception of a sink is dropped.
#pragma once

#include <allot/arena_options.hpp>

namespace spdlog {
class logger;
}  // namespace spdlog

namespace allot {

/// A hook that writes to `logger`, which must outlive the arenas made with it.
[[nodiscard]] ArenaHook arena_log(spdlog::logger& logger) noexcept;

}  // namespace allot
