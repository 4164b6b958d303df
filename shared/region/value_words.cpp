#include "shared/region/value_words.hpp"

namespace allot::region {

std::string read_text(const detail::Atomic<std::uint32_t>* words, std::uint32_t word_count) {
  std::string text;
  for (std::uint32_t i = 0; i < word_count; ++i) {
    // A13 pairs with R13 in write_value(), where the words are a note's.
    const std::uint32_t value = word_value(words[i].load_acquire());
    for (const unsigned shift : {0U, 8U}) {
      const auto byte = static_cast<unsigned char>(value >> shift);
      if (byte == 0) return text;
      text += byte >= ' ' && byte <= '~' ? static_cast<char>(byte) : '?';
    }
  }
  return text;
}

}  // namespace allot::region
