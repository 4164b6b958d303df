#include "tests/support/fit_oracle.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>

#include <gtest/gtest.h>

namespace allot::test {

namespace {

std::size_t whole_units(std::size_t size) {
  return (std::max<std::size_t>(size, 1) + 15) & ~std::size_t{15};
}

// How far `address` is from the next multiple of `alignment`.
std::size_t padding(const std::byte* address, std::size_t alignment) {
  return (~reinterpret_cast<std::uintptr_t>(address) + 1) & (alignment - 1);
}

}  // namespace

FitOracle::FitOracle(FitHeap& heap, std::byte* base, std::size_t bytes)
    : heap_(&heap), base_(base), bytes_(bytes) {
  extents_[base] = {bytes};
}

std::optional<std::byte*> FitOracle::best(std::size_t bytes, std::size_t alignment) const {
  const std::pair<std::byte* const, Extent>* found = nullptr;
  for (const auto& one : extents_) {
    const auto& [begin, extent] = one;
    if (extent.live || padding(begin, alignment) + bytes > extent.bytes) continue;
    if (found == nullptr || extent.bytes < found->second.bytes) found = &one;
  }
  if (found == nullptr) return std::nullopt;
  return found->first + padding(found->first, alignment);
}

void FitOracle::make_live(std::byte* address, std::size_t bytes) {
  auto it = std::prev(extents_.upper_bound(address));
  std::byte* const end = it->first + it->second.bytes;
  ASSERT_FALSE(it->second.live);
  ASSERT_LE(address + bytes, end);
  if (it->first < address) {
    it->second.bytes = static_cast<std::size_t>(address - it->first);
  }
  extents_[address] = {bytes, true};
  if (address + bytes < end) {
    extents_[address + bytes] = {static_cast<std::size_t>(end - address) - bytes};
  }
  ++block_count_;
}

void FitOracle::make_free(std::byte* address) {
  auto it = extents_.find(address);
  it->second = {it->second.bytes};
  --block_count_;
  if (const auto above = std::next(it); above != extents_.end() && !above->second.live) {
    it->second.bytes += above->second.bytes;
    extents_.erase(above);
  }
  if (it == extents_.begin()) return;
  if (const auto below = std::prev(it); !below->second.live) {
    below->second.bytes += it->second.bytes;
    extents_.erase(it);
  }
}

void FitOracle::fill(std::byte* address, std::size_t size) {
  Extent& extent = extents_.at(address);
  extent.filled = size;
  extent.value = static_cast<std::byte>(next_value_++);
  std::fill_n(address, size, extent.value);
}

FitOracle::Extents::iterator FitOracle::any_block(Random& random) {
  const auto is_live = [](const auto& one) { return one.second.live; };
  auto it = extents_.begin();
  for (std::uint64_t skip = random.below(block_count_) + 1;; ++it) {
    it = std::find_if(it, extents_.end(), is_live);
    if (--skip == 0) return it;
  }
}

void FitOracle::allocate(std::size_t size, std::size_t alignment) {
  const auto wanted = best(whole_units(size), alignment);
  auto* const got = static_cast<std::byte*>(heap_->allocate(size, alignment));
  ASSERT_EQ(got, wanted.value_or(nullptr)) << size << " at " << alignment;
  if (got == nullptr) {
    ASSERT_EQ(FitHeap::last_error(), Errc::kArenaFull);
  } else {
    make_live(got, whole_units(size));
    fill(got, size);
  }
  expect_equal();
}

void FitOracle::reallocate(Random& random, std::size_t size, std::size_t alignment) {
  if (block_count_ == 0) return;
  const auto it = any_block(random);
  std::byte* const block = it->first;
  const Extent before = it->second;
  const std::size_t bytes = whole_units(size);
  const auto above = std::next(it);
  const std::size_t room =
      before.bytes + (above != extents_.end() && !above->second.live ? above->second.bytes : 0);
  const bool in_place = padding(block, alignment) == 0 && bytes <= room;
  const auto wanted = in_place ? std::optional(block) : best(bytes, alignment);
  auto* const got = static_cast<std::byte*>(heap_->reallocate(block, size, alignment));
  ASSERT_EQ(got, wanted.value_or(nullptr)) << before.bytes << " to " << size;
  if (got != nullptr) {
    const std::size_t kept = std::min(before.filled, size);
    ASSERT_EQ(std::count(got, got + kept, before.value), static_cast<std::ptrdiff_t>(kept));
    if (in_place) {
      make_free(block);
      make_live(block, bytes);
    } else {
      make_live(got, bytes);
      make_free(block);
    }
    fill(got, size);
  }
  expect_equal();
}

void FitOracle::free(Random& random) {
  if (block_count_ == 0) return;
  std::byte* const block = any_block(random)->first;
  ASSERT_EQ(heap_->free(block), Errc::kOk);
  make_free(block);
  expect_equal();
}

void FitOracle::misuse(Random& random) {
  std::byte* const address = base_ + random.below(bytes_);
  const auto& [begin, extent] = *std::prev(extents_.upper_bound(address));
  if (extent.live && begin == address) return;
  ASSERT_EQ(heap_->free(address), extent.live ? Errc::kInteriorPointer : Errc::kDoubleFree);
  ASSERT_EQ(heap_->reallocate(address, 16), nullptr);
  expect_equal();
}

void FitOracle::clear() {
  ASSERT_EQ(heap_->clear(), Errc::kOk);
  extents_.clear();
  extents_[base_] = {bytes_};
  block_count_ = 0;
  expect_equal();
}

void FitOracle::expect_equal() const {
  std::size_t live = 0;
  std::size_t largest = 0;
  for (const auto& [begin, extent] : extents_) {
    if (!extent.live) {
      largest = std::max(largest, extent.bytes);
      continue;
    }
    live += extent.bytes;
    ASSERT_EQ(heap_->size_of(begin), extent.bytes);
    ASSERT_EQ(std::count(begin, begin + extent.filled, extent.value),
              static_cast<std::ptrdiff_t>(extent.filled));
  }
  ASSERT_TRUE(heap_->check());
  ASSERT_EQ(heap_->live_bytes(), live);
  ASSERT_EQ(heap_->live_bytes() + heap_->free_bytes(), heap_->managed_bytes());
  ASSERT_EQ(heap_->managed_bytes(), bytes_);
  ASSERT_EQ(heap_->largest_free_bytes(), largest);
  ASSERT_EQ(heap_->block_count(), block_count_);
}

}  // namespace allot::test
