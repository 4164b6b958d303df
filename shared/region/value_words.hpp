// Value words: numbers and text in own words that are nobody's.
//
// Used by the client, which writes what a block is and where it was made, and by the daemon, which
// lists it. Such a word has the form of a *free* own word; its generation bits hold a number below
// 2^18, or two bytes of text. So recovery passes over it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <allot/detail/atomic.hpp>
#include <allot/detail/own_word.hpp>

namespace allot::region {

/// A *free* word that holds `value`, below 2^18.
constexpr std::uint32_t value_word(std::uint32_t value) noexcept {
  return detail::OwnWord::make(detail::OwnWord::kFree, value);
}
constexpr std::uint32_t word_value(std::uint32_t word) noexcept {
  return detail::OwnWord::generation(word);
}

/// Word `index` of `text`, 0 beyond its end.
[[nodiscard]] constexpr std::uint32_t text_value(std::string_view text,
                                                 std::uint32_t index) noexcept {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 2 && std::size_t{2} * index + i < text.size(); ++i) {
    value |= std::uint32_t{static_cast<unsigned char>(text[std::size_t{2} * index + i])} << (8 * i);
  }
  return value;
}

/// As its writer said it, up to a NUL: anything but printable ASCII becomes '?', since members of
/// the region can write it.
[[nodiscard]] std::string read_text(const detail::Atomic<std::uint32_t>* words,
                                    std::uint32_t word_count);

}  // namespace allot::region
