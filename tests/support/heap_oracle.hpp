// HeapOracle: what a heap has promised so far, and whether it keeps it.
//
// Allocates from a session and remembers each block: its range, which no other block may share, and
// what was written to it, which must still be there when it is freed. A broken promise is a failure
// of the test. One thread; several threads use one oracle each, and an overlap among them shows up
// in what was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include <allot/session.hpp>

#include "tests/support/seed.hpp"

namespace allot::test {

/// Writes a pattern drawn from `seed` to the block: all of it up to 4 KiB, else its start, its end
/// and a word of each 512 bytes.
void fill_block(void* block, std::size_t size_bytes, std::uint64_t seed);
/// Whether it is still there.
[[nodiscard]] bool holds_pattern(const void* block, std::size_t size_bytes, std::uint64_t seed);

class HeapOracle {
 public:
  struct Block {
    void* address = nullptr;
    std::size_t size_bytes = 0;
    std::uint64_t seed = 0;
  };

  /// Frees nothing at its end; see free_all().
  explicit HeapOracle(Session& session) : session_(session) {}

  /// Allocates, checks alignment, usable size and that no live block is touched, and fills it.
  /// An alignment of 1 stands for allocate().
  void* allocate(std::size_t size_bytes, std::size_t alignment = 1);
  /// Frees the block number `index`; the last one takes its number.
  void free(std::size_t index);
  void free_all();
  /// Checks all contents.
  void check() const;
  /// Gives the block number `index` away: it is checked, and no longer this oracle's.
  Block take(std::size_t index);
  /// A block of another oracle, owned by the same session.
  void put(const Block& block);

  [[nodiscard]] std::size_t size() const noexcept { return blocks_.size(); }
  [[nodiscard]] const Block& operator[](std::size_t index) const { return blocks_[index]; }

 private:
  Session& session_;
  std::vector<Block> blocks_;
  std::map<const std::byte*, const std::byte*> ranges_;  // begin, end
  std::uint64_t next_seed_ = 1;
};

/// A size as programs ask for: mostly small, some medium, few large; 1 .. 1 MiB.
[[nodiscard]] std::size_t any_size(Random& random);

/// `count` allocations and frees in a random order, of at most `most_live` blocks at a time.
void run_random_operations(HeapOracle& oracle, Random& random, std::size_t count,
                           std::size_t most_live);

}  // namespace allot::test
