// FitOracle: what a FitHeap over one buffer must do, by a map of its extents and a look at all of them.
//
// Each operation is done in both; that both chose the same address, the contents of every block, the
// heap's figures and its own check are expected after it.
#pragma once

#include <cstddef>
#include <map>
#include <optional>

#include <allot/fit_heap.hpp>

#include "tests/support/seed.hpp"

namespace allot::test {

class FitOracle {
 public:
  /// `heap` is over [base, base + bytes), both multiples of 16.
  FitOracle(FitHeap& heap, std::byte* base, std::size_t bytes);

  void allocate(std::size_t size, std::size_t alignment);
  /// Of a block drawn at random; nothing if there is none.
  void reallocate(Random& random, std::size_t size, std::size_t alignment);
  void free(Random& random);
  /// Something that is no block of the heap.
  void misuse(Random& random);
  void clear();
  [[nodiscard]] std::size_t blocks() const { return block_count_; }

 private:
  struct Extent {
    std::size_t bytes = 0;
    bool live = false;
    std::size_t filled = 0;  // bytes that hold `value`
    std::byte value{};
  };
  using Extents = std::map<std::byte*, Extent>;

  /// Where the best fit begins: of the smallest that serve, the lowest.
  [[nodiscard]] std::optional<std::byte*> best(std::size_t bytes, std::size_t alignment) const;
  void make_live(std::byte* address, std::size_t bytes);
  void make_free(std::byte* address);
  void fill(std::byte* address, std::size_t size);
  [[nodiscard]] Extents::iterator any_block(Random& random);
  void expect_equal() const;

  FitHeap* heap_;
  std::byte* base_;
  std::size_t bytes_;
  Extents extents_;
  std::size_t block_count_ = 0;
  unsigned next_value_ = 0;
};

}  // namespace allot::test
