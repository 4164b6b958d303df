// ArenaOracle: an arena and a list of what was pushed, filled with known bytes, that must agree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <allot/arena.hpp>

#include "tests/support/seed.hpp"

namespace allot::test {

class ArenaOracle {
 public:
  explicit ArenaOracle(Arena& arena) : arena_(&arena) {}

  /// Pushes and fills; false if the arena is full. Expects alignment, zeroes, and no overlap.
  bool push(std::size_t size, std::size_t alignment, bool zero);
  void mark();
  /// Goes back to the mark that is `depth` marks ago.
  void pop_to(std::size_t depth);
  /// Takes the last push back.
  void pop_last();
  /// Goes back by as many bytes as lie behind the start of a random push.
  void pop_bytes(Random& random);
  void clear();
  /// Every byte of every live push is as it was written.
  void check() const;

  [[nodiscard]] std::size_t marks() const { return marks_.size(); }
  [[nodiscard]] std::size_t pushes() const { return live_.size(); }

 private:
  struct Push {
    std::byte* address;
    std::size_t size;
    std::byte value;
    std::uint64_t used_before;
  };
  struct Mark {
    ArenaMark mark;
    std::size_t pushes;
  };
  void forget_marks();

  Arena* arena_;
  std::vector<Push> live_;
  std::vector<Mark> marks_;
  unsigned next_value_ = 0;
};

/// A seeded history of all operations.
void run_random_operations(ArenaOracle& oracle, Random& random, int operations,
                           std::size_t largest_bytes, bool may_clear = true);

}  // namespace allot::test
