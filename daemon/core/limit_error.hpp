// What a session is told when a limit refuses what it asked for: who wanted how much, and of what.
#pragma once

#include <cstdint>
#include <string>

#include <allot/expected.hpp>

namespace allot::core {

/// `who`: empty, or words with a space at the end. `limit_name` as in the configuration file, where
/// it carries the unit. Short enough for a Failure even where every number is 2^40.
[[nodiscard]] Error limit_error(Errc errc, const std::string& who, std::uint64_t wanted,
                                std::uint64_t used, std::uint64_t limit, const char* limit_name);

}  // namespace allot::core
