#include "tests/support/heap_oracle.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <gtest/gtest.h>

namespace allot::test {

namespace {

constexpr std::size_t kFilledWhole = 4096;
constexpr std::size_t kStride = 512;

// Calls `visit` with each byte of the block that carries the pattern.
template <class Visit>
bool each_patterned_byte(std::size_t size_bytes, std::uint64_t seed, Visit visit) {
  const auto of = [seed](std::size_t i) {
    return static_cast<std::uint8_t>((seed * 0x9E3779B97F4A7C15ULL + i * 0x2545F4914F6CDD1DULL) >>
                                     56);
  };
  const std::size_t whole = std::min(size_bytes, kFilledWhole);
  for (std::size_t i = 0; i < whole; ++i) {
    if (!visit(i, of(i))) return false;
  }
  for (std::size_t i = whole; i + 8 <= size_bytes; i += kStride) {
    for (std::size_t j = i; j < i + 8; ++j) {
      if (!visit(j, of(j))) return false;
    }
  }
  return visit(size_bytes - 1, of(size_bytes - 1));
}

}  // namespace

void fill_block(void* block, std::size_t size_bytes, std::uint64_t seed) {
  auto* const bytes = static_cast<std::uint8_t*>(block);
  each_patterned_byte(size_bytes, seed, [&](std::size_t i, std::uint8_t value) {
    bytes[i] = value;
    return true;
  });
}

bool holds_pattern(const void* block, std::size_t size_bytes, std::uint64_t seed) {
  const auto* const bytes = static_cast<const std::uint8_t*>(block);
  return each_patterned_byte(size_bytes, seed,
                             [&](std::size_t i, std::uint8_t value) { return bytes[i] == value; });
}

void* HeapOracle::allocate(std::size_t size_bytes, std::size_t alignment) {
  void* const block = alignment == 1 ? session_.allocate(size_bytes)
                                     : session_.allocate_aligned(size_bytes, alignment);
  if (block == nullptr) {
    ADD_FAILURE() << size_bytes << " bytes: " << Session::last_error().message();
    return nullptr;
  }
  const std::size_t promised = std::max<std::size_t>(alignment, 16);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % promised, 0U) << size_bytes << " bytes";
  const std::size_t usable = session_.usable_size(block);
  EXPECT_GE(usable, size_bytes);

  const auto* const begin = static_cast<const std::byte*>(block);
  const auto next = ranges_.lower_bound(begin);
  const bool hits_next = next != ranges_.end() && next->first < begin + usable;
  const bool hits_last = next != ranges_.begin() && std::prev(next)->second > begin;
  EXPECT_FALSE(hits_next || hits_last) << "a block of " << size_bytes << " bytes overlaps another";
  ranges_[begin] = begin + usable;

  blocks_.push_back({block, size_bytes, next_seed_++});
  fill_block(block, size_bytes, blocks_.back().seed);
  return block;
}

void HeapOracle::free(std::size_t index) {
  const Block block = take(index);
  EXPECT_EQ(session_.free(block.address), Errc::kOk);
}

void HeapOracle::free_all() {
  while (!blocks_.empty()) free(blocks_.size() - 1);
}

void HeapOracle::check() const {
  for (const Block& block : blocks_) {
    EXPECT_TRUE(holds_pattern(block.address, block.size_bytes, block.seed))
        << "somebody wrote into a block of " << block.size_bytes << " bytes";
  }
}

HeapOracle::Block HeapOracle::take(std::size_t index) {
  const Block block = blocks_[index];
  EXPECT_TRUE(holds_pattern(block.address, block.size_bytes, block.seed))
      << "somebody wrote into a block of " << block.size_bytes << " bytes";
  ranges_.erase(static_cast<const std::byte*>(block.address));
  blocks_[index] = blocks_.back();
  blocks_.pop_back();
  return block;
}

void HeapOracle::put(const Block& block) {
  blocks_.push_back(block);
  const auto* const begin = static_cast<const std::byte*>(block.address);
  ranges_[begin] = begin + session_.usable_size(begin);
}

std::size_t any_size(Random& random) {
  const std::uint32_t kind = random.below(100U);
  if (kind < 70) return 1 + random.below(512U);
  if (kind < 90) return 1 + random.below(8192U);
  if (kind < 98) return 1 + random.below(65'536U);
  return 1 + random.below(1U << 20);
}

void run_random_operations(HeapOracle& oracle, Random& random, std::size_t count,
                           std::size_t most_live) {
  for (std::size_t i = 0; i < count && !testing::Test::HasFailure(); ++i) {
    const bool grow = oracle.size() == 0 || (oracle.size() < most_live && random.percent(55));
    if (!grow) {
      oracle.free(random.below(oracle.size()));
    } else if (random.percent(95)) {
      (void)oracle.allocate(any_size(random));
    } else {
      (void)oracle.allocate(any_size(random), std::size_t{1} << random.below(13U));
    }
  }
}

}  // namespace allot::test
