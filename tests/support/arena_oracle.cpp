#include "tests/support/arena_oracle.hpp"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>

namespace allot::test {

bool ArenaOracle::push(std::size_t size, std::size_t alignment, bool zero) {
  const std::size_t used = arena_->used_bytes();
  void* const got = zero ? arena_->push_zero(size, alignment) : arena_->push(size, alignment);
  if (got == nullptr) {
    EXPECT_EQ(arena_->used_bytes(), used) << "a failed push changed something";
    return false;
  }
  auto* const address = static_cast<std::byte*>(got);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(got) % alignment, 0U);
  EXPECT_GE(arena_->used_bytes(), used + size);
  const std::size_t taken = std::max<std::size_t>(size, 1);
  for (const Push& other : live_) {
    EXPECT_TRUE(address + taken <= other.address ||
                other.address + std::max<std::size_t>(other.size, 1) <= address)
        << "overlaps";
  }
  if (zero) {
    EXPECT_TRUE(std::all_of(address, address + size, [](std::byte b) { return b == std::byte{}; }))
        << "not zero";
  }
  const auto value = static_cast<std::byte>(++next_value_ % 251 + 1);
  std::memset(got, static_cast<int>(value), size);
  live_.push_back({address, size, value, used});
  return true;
}

void ArenaOracle::mark() { marks_.push_back({arena_->pos(), live_.size()}); }

void ArenaOracle::pop_to(std::size_t depth) {
  const Mark mark = marks_.at(marks_.size() - 1 - depth);
  ASSERT_EQ(arena_->pop_to(mark.mark), Errc::kOk);
  EXPECT_EQ(arena_->pos(), mark.mark);
  live_.resize(mark.pushes);
  forget_marks();
}

void ArenaOracle::pop_last() {
  if (live_.empty()) return;
  const Push last = live_.back();
  // Padding behind it, of a push taken back meanwhile, may make it not the last.
  const Errc done = arena_->pop_last(last.address, last.size);
  if (done == Errc::kNotLast) return;
  ASSERT_EQ(done, Errc::kOk);
  EXPECT_FALSE(arena_->contains(last.address));
  live_.pop_back();
  forget_marks();
}

void ArenaOracle::pop_bytes(Random& random) {
  if (live_.empty()) return;
  const std::size_t first = random.below(live_.size());
  const std::size_t used = arena_->used_bytes();
  const std::size_t back = used - live_[first].used_before;
  ASSERT_EQ(arena_->pop(back), Errc::kOk);
  EXPECT_EQ(arena_->used_bytes(), used - back);
  live_.resize(first);
  forget_marks();
}

void ArenaOracle::clear() {
  ASSERT_EQ(arena_->clear(), Errc::kOk);
  EXPECT_EQ(arena_->used_bytes(), 0U);
  live_.clear();
  marks_.clear();
}

void ArenaOracle::forget_marks() {
  const std::uint64_t used = arena_->used_bytes();
  while (!marks_.empty() && marks_.back().mark.offset > used) marks_.pop_back();
}

void ArenaOracle::check() const {
  for (const Push& push : live_) {
    EXPECT_TRUE(std::all_of(push.address, push.address + push.size,
                            [&](std::byte b) { return b == push.value; }))
        << "a push of " << push.size << " bytes was overwritten";
    EXPECT_TRUE(arena_->contains(push.address));
  }
}

void run_random_operations(ArenaOracle& oracle, Random& random, int operations,
                           std::size_t largest_bytes, bool may_clear) {
  for (int i = 0; i < operations && !testing::Test::HasFatalFailure(); ++i) {
    const auto what = random.below(100U);
    if (what < 60) {
      const bool large = random.percent(5);
      const std::size_t size = random.below(large ? largest_bytes : std::size_t{300});
      const std::size_t alignment = std::size_t{1} << random.below(large ? 13U : 8U);
      if (!oracle.push(size, alignment, random.percent(40)) && oracle.pushes() > 0) {
        oracle.pop_bytes(random);
      }
    } else if (what < 75) {
      oracle.mark();
    } else if (what < 85) {
      if (oracle.marks() > 0) oracle.pop_to(random.below(std::min<std::size_t>(oracle.marks(), 6)));
    } else if (what < 94) {
      oracle.pop_last();
    } else if (what < 99 || !may_clear) {
      oracle.pop_bytes(random);
    } else {
      oracle.check();
      oracle.clear();
    }
    if (oracle.pushes() > 300) oracle.pop_bytes(random);
  }
  oracle.check();
}

}  // namespace allot::test
