// Names: the fixture of tests about published blocks: a publisher, a reader, blocks to publish.
#pragma once

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "daemon/core/region_core.hpp"
#include "tests/support/core_region.hpp"

namespace allot::core {

inline constexpr std::uint32_t kOfferedFlags =
    detail::OwnWord::kExposed | detail::OwnWord::kOffered;

// A publisher with a span of 256-byte blocks, of which it owns and offers the first few.
struct Names : testing::Test {
  Names() {
    region.carve(span, region::bin_of(256));
    for (std::uint32_t i = 0; i < 8; ++i) {
      region.word(span, i).store_release(test::owned_word(publisher, 100, kOfferedFlags));
    }
  }
  Expected<void> publish(const std::string& name, std::uint32_t block = 0) {
    return region->publish(publisher, name, region.handle(span, block), region.now_ns);
  }
  Expected<void> unpublish(const std::string& name, Handle handle) {
    return region->unpublish(publisher, name, handle, false, region.now_ns);
  }
  Expected<void> unpin(std::uint32_t session, Handle handle) {
    return region->unpin(session, handle, region.now_ns);
  }
  std::uint32_t word(std::uint32_t block = 0) { return region.word(span, block).load_acquire(); }

  test::CoreRegion region;
  std::uint32_t publisher = region.open_session(1000);
  std::uint32_t reader = region.open_session(1001);
  std::uint64_t span = region.granted(publisher, 1);
};

inline constexpr std::uint32_t kKept =
    detail::OwnWord::make(detail::OwnWord::kKept, 100) | detail::OwnWord::kExposed;
inline constexpr std::uint32_t kFreedAfterPublish =
    detail::OwnWord::make(detail::OwnWord::kFreed, 101);

}  // namespace allot::core
