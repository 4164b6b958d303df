// What the standard output is: how wide, and whether it shows colours.
#pragma once

#include <cstddef>
#include <cstdint>

namespace allot::ctl {

enum class ColorMode : std::uint8_t { kAuto, kAlways, kNever };

[[nodiscard]] bool output_is_terminal() noexcept;

/// Columns of the terminal; 80 where there is none.
[[nodiscard]] std::size_t output_width() noexcept;

/// kAuto: on a terminal, unless NO_COLOR is set or the terminal is dumb.
[[nodiscard]] bool wants_color(ColorMode mode) noexcept;

}  // namespace allot::ctl
