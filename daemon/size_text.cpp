#include "daemon/size_text.hpp"

#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <utility>

namespace allot::daemon {

namespace {

constexpr std::array<std::pair<std::string_view, unsigned>, 6> kUnits = {
    {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}};

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  while (text.starts_with(' ')) text.remove_prefix(1);
  for (const auto& [unit, shift] : kUnits) {
    if (text != unit) continue;
    if (value > std::numeric_limits<std::uint64_t>::max() >> shift) return std::nullopt;
    return value << shift;
  }
  return std::nullopt;
}

std::string size_text(std::uint64_t size_bytes) {
  std::string text = std::to_string(size_bytes);
  for (const auto& [unit, shift] : kUnits) {
    const std::uint64_t count = size_bytes >> shift;
    if (shift > 0 && count > 0 && count << shift == size_bytes) {
      text = std::to_string(count) + " " + std::string(unit);
    }
  }
  return text;
}

}  // namespace allot::daemon
