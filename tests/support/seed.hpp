// Seeds of random tests: printed, and replayed through the environment.
//
// A random test runs over seeds(n): by default the seeds 1 .. n, so that a run can be repeated;
//   ALLOT_TEST_SEED=17       runs seed 17 alone (what a failure prints);
//   ALLOT_TEST_SEED=random   runs n seeds from a place drawn at random.
//   ALLOT_TEST_SEEDS=20000   runs so many, whatever n is.
// Under the sanitizers fewer seeds run. A SeedScope names the seed in every failure inside it, and
// on standard error if the process dies of a signal (an assertion of the product, a guard page).
#pragma once

#include <cstdint>

#include <gtest/gtest.h>

namespace allot::test {

struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t count = 1;
};

/// The seeds a test of `count` seeds runs over, by the rules above; prints them if they are not
/// the default ones.
[[nodiscard]] SeedRange seeds(std::uint64_t count);

class SeedScope {
 public:
  SeedScope(const char* file, int line, std::uint64_t seed);
  SeedScope(const SeedScope&) = delete;
  SeedScope& operator=(const SeedScope&) = delete;
  ~SeedScope();

 private:
  testing::ScopedTrace trace_;
};

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every platform, cheap to begin.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed * 0x9E3779B97F4A7C15ULL) {}

  std::uint64_t next() noexcept {
    state_ += 0x9E3779B97F4A7C15ULL;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
    return mixed ^ (mixed >> 31);
  }
  /// 0 .. limit-1; limit is at least 1.
  std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }
  std::uint32_t below(std::uint32_t limit) noexcept {
    return static_cast<std::uint32_t>(next() % limit);
  }
  /// low .. high, both included.
  std::uint32_t between(std::uint32_t low, std::uint32_t high) noexcept {
    return low + below(high - low + 1);
  }
  bool percent(std::uint32_t chance) noexcept { return below(100U) < chance; }

 private:
  std::uint64_t state_;
};

}  // namespace allot::test
