// Random choices that are the same for every contender, and cheap enough to draw while measuring.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

namespace allot::bench {

/// Vigna's splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15;
    std::uint64_t word = state_;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB;
    return word ^ (word >> 31);
  }
  /// 0 .. limit - 1; limit at most 2^32.
  [[nodiscard]] std::size_t below(std::size_t limit) noexcept {
    return static_cast<std::size_t>(((next() >> 32) * limit) >> 32);
  }

 private:
  std::uint64_t state_;
};

/// Sizes drawn in advance: 16 .. 4,096 B, log-normal around 128 B (sigma 1 of the natural
/// logarithm).
class LogNormalSizes {
 public:
  LogNormalSizes() {
    std::mt19937_64 random(2);  // NOLINT(cert-msc51-cpp): the same for every contender
    std::lognormal_distribution<double> sizes(std::log(128.0), 1.0);
    for (std::uint16_t& size : sizes_) {
      size = static_cast<std::uint16_t>(std::clamp(sizes(random), 16.0, 4096.0));
    }
  }
  [[nodiscard]] std::size_t draw(Random& random) const noexcept {
    return sizes_[random.next() % kSizes];
  }

 private:
  static constexpr std::size_t kSizes = std::size_t{1} << 14;  // 32 KiB: they stay in a cache
  std::array<std::uint16_t, kSizes> sizes_{};
};

}  // namespace allot::bench
