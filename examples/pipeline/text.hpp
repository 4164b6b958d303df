// How numbers, sizes and file names are written for people.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pipeline {

/// 1234567 -> "1,234,567".
[[nodiscard]] std::string grouped(std::uint64_t number);

/// Bytes as "512 B", "1.5 KiB" or "12.3 MiB".
[[nodiscard]] std::string size_text(std::uint64_t size_bytes);

/// With `digits` after the point.
[[nodiscard]] std::string fixed(double value, int digits);

/// A file name for a terminal: control characters become '?'.
[[nodiscard]] std::string printable(std::string_view name);

/// Valid UTF-8: other bytes become U+FFFD.
[[nodiscard]] std::string utf8(std::string_view bytes);

}  // namespace pipeline
