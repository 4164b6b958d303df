// Sizes as people write them: "64 GiB", "16MiB", "4096".
//
// Used by the configuration. Units are powers of 1024 and are spelled so: KiB, MiB, GiB, TiB, or B.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace allot::daemon {

/// Bytes, or nothing if `text` is not digits, optional blanks and an optional unit, or does not
/// fit 64 bits.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text) noexcept;

/// The shortest that parse_size() reads back as the same: "64 GiB", "4097".
[[nodiscard]] std::string size_text(std::uint64_t size_bytes);

}  // namespace allot::daemon
