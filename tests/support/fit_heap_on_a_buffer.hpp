// FitHeapOnABuffer: the fixture of tests of a FitHeap over 64 KiB of a caller's memory.
//
// Each test ends with the heap's own check and its equation.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <new>
#include <span>

#include <gtest/gtest.h>

#include <allot/fit_heap.hpp>

namespace allot::test {

class FitHeapOnABuffer : public testing::Test {
 protected:
  static constexpr std::size_t kBytes = std::size_t{64} << 10;

  ~FitHeapOnABuffer() override {
    EXPECT_TRUE(heap_.check());
    EXPECT_EQ(heap_.live_bytes() + heap_.free_bytes(), kBytes);
  }
  FitHeap& heap() { return heap_; }
  std::byte* base() { return buffer_.get(); }
  std::byte* get(std::size_t size, std::size_t alignment = 16) {
    return static_cast<std::byte*>(heap_.allocate(size, alignment));
  }
  /// Blocks that fill the heap.
  template <std::size_t kCount>
  std::array<std::byte*, kCount> fill() {
    std::array<std::byte*, kCount> blocks{};
    for (auto& block : blocks) block = get(kBytes / kCount);
    EXPECT_EQ(heap_.free_bytes(), 0U);
    return blocks;
  }
  void expect_whole() {
    EXPECT_TRUE(heap_.check());
    EXPECT_EQ(heap_.block_count(), 0U);
    EXPECT_EQ(heap_.live_bytes(), 0U);
    EXPECT_EQ(heap_.largest_free_bytes(), kBytes);
  }

 private:
  struct Release {
    void operator()(std::byte* bytes) const { ::operator delete[](bytes, std::align_val_t{4096}); }
  };
  std::unique_ptr<std::byte[], Release> buffer_{new (std::align_val_t{4096}) std::byte[kBytes]{}};
  FitHeap heap_ = FitHeap::over(std::span(buffer_.get(), kBytes));
};

}  // namespace allot::test
