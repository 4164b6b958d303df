// Recovery: two sessions, one of which will die, and the spans a test gives them.
#pragma once

#include <algorithm>
#include <cstdint>

#include <gtest/gtest.h>

#include "daemon/core/region_core.hpp"
#include "tests/support/core_region.hpp"

namespace allot::core {

struct Recovery : testing::Test {
  std::uint64_t carved_span(std::uint32_t session, std::uint64_t block_bytes = 256) {
    const std::uint32_t bin = region::bin_of(block_bytes);
    const region::SizeClass& cut = region::kSizeClasses.at(bin);
    const std::uint64_t first = region.granted(session, cut.span_granules, 1,
                                               std::max(region::kDefaultWords, cut.block_count));
    region.carve(first, bin);
    return first;
  }
  std::uint64_t large_span(std::uint32_t session, std::uint32_t granules = 2) {
    const std::uint64_t first = region.granted(session, granules, 1, 256);
    region.carve_large(first);
    return first;
  }
  std::uint32_t word(std::uint64_t first, std::uint32_t index = 0) {
    return region.word(first, index).load_acquire();
  }
  void set_word(std::uint64_t first, std::uint32_t index, std::uint32_t to) {
    region.word(first, index).store_release(to);
  }
  std::uint64_t hint(std::uint64_t first) const {
    return region.view().span_ledger(first).hint.load_acquire();
  }
  region::SessionState state(std::uint32_t session) const {
    return static_cast<region::SessionState>(region.view().session(session).state.load_acquire());
  }

  test::CoreRegion region;
  std::uint32_t dead = region.open_session(1000);
  std::uint32_t alive = region.open_session(1001);
};

}  // namespace allot::core
