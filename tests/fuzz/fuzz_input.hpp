// FuzzInput: the bytes of a fuzz target's input, taken from the front. Behind the end all are 0.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace allot::test {

class FuzzInput {
 public:
  FuzzInput(const std::uint8_t* data, std::size_t size)
      : rest_(std::as_bytes(std::span(data, size))) {}

  /// By all inputs of this process.
  [[nodiscard]] static std::uint64_t taken_bytes() noexcept { return all_taken_bytes; }

  [[nodiscard]] bool is_empty() const noexcept { return rest_.empty(); }
  /// At most `bytes` of what is left.
  [[nodiscard]] std::span<const std::byte> take(std::size_t bytes) noexcept {
    const auto taken = rest_.first(std::min(bytes, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    all_taken_bytes += taken.size();
    return taken;
  }
  template <class Number>
  [[nodiscard]] Number number() noexcept {
    const auto bytes = take(sizeof(Number));
    Number value = 0;
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  [[nodiscard]] std::uint8_t byte() noexcept { return number<std::uint8_t>(); }
  /// 0 .. limit - 1, of one byte.
  [[nodiscard]] std::uint32_t below(std::size_t limit) noexcept {
    return static_cast<std::uint32_t>(byte() % limit);
  }
  /// All that is left, as text.
  [[nodiscard]] std::string_view text() noexcept {
    const auto bytes = take(rest_.size());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

 private:
  static inline std::uint64_t all_taken_bytes = 0;
  std::span<const std::byte> rest_;
};

}  // namespace allot::test
