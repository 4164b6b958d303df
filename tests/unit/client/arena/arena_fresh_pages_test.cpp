// A zeroed push clears only what was in use before: fresh pages stay untouched.

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>

#include "shared/platform/page_size.hpp"

namespace allot {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kPushBytes = 4 * kMiB;
constexpr std::size_t kWrittenBytes = kMiB;
// As much may be mapped beside a page that was written, where huge pages are on.
constexpr std::size_t kHugePageBytes = 2 * kMiB;

// How many pages that lie whole in [from, to) are in memory.
std::size_t resident_pages(const std::byte* from, const std::byte* to) {
  const std::size_t page = platform::page_size_bytes();
  const std::uintptr_t begin = (reinterpret_cast<std::uintptr_t>(from) + page - 1) / page * page;
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(to) / page * page;
  std::vector<unsigned char> pages((end - begin) / page);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): mincore takes the start of a page
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(begin), end - begin, pages.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char one) { return (one & 1) != 0; }));
}

bool is_zero(const std::byte* block, std::size_t size) {
  return std::all_of(block, block + size, [](std::byte one) { return one == std::byte{0}; });
}

void ignore(void* /*context*/, const ArenaEvent& /*event*/) noexcept {}

struct Case {
  ArenaKind kind;
  bool hooked;  // its pushes are the library's
};

class ArenaFreshPages : public testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] static Arena make() {
    ArenaOptions options;
    options.checks = ArenaChecks::kOff;
    options.commit_bytes = options.max_commit_bytes = 4 * kPushBytes;
    options.block_bytes = options.max_block_bytes = 4 * kPushBytes;
    if (GetParam().hooked) options.hook.call = &ignore;
    switch (GetParam().kind) {
      case ArenaKind::kFixed: return Arena::fixed(4 * kPushBytes, options);
      case ArenaKind::kChained: return Arena::chained(options);
      case ArenaKind::kVirtual: return Arena::reserve(4 * kPushBytes, options);
      case ArenaKind::kChainedVirtual: break;
    }
    return Arena::reserve_chained(4 * kPushBytes, options);
  }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const ArenaKind kind :
       {ArenaKind::kFixed, ArenaKind::kChained, ArenaKind::kVirtual, ArenaKind::kChainedVirtual}) {
    for (const bool hooked : {false, true}) all.push_back({kind, hooked});
  }
  return all;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  constexpr const char* kKinds[] = {"Fixed", "Chained", "Virtual", "ChainedVirtual"};
  return std::string(kKinds[static_cast<int>(info.param.kind)]) +
         (info.param.hooked ? "Hooked" : "");
}

INSTANTIATE_TEST_SUITE_P(Any, ArenaFreshPages, testing::ValuesIn(cases()), case_name);

TEST_P(ArenaFreshPages, AZeroedPushLeavesThemUntouched) {
  Arena arena = make();
  // The first one makes the arena grow, the second one is inlined.
  for (int i = 0; i < 2; ++i) {
    const auto* const block = static_cast<const std::byte*>(arena.push_zero(kPushBytes));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(resident_pages(block, block + kPushBytes), 0U) << i;
  }
  auto* const block = static_cast<std::byte*>(arena.push_zero(kPushBytes));
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(is_zero(block, kPushBytes));
  block[kPushBytes / 2] = std::byte{1};
  EXPECT_GE(resident_pages(block, block + kPushBytes), 1U) << "a control";
}

TEST_P(ArenaFreshPages, OnlyWhatWasInUseIsClearedAgain) {
  Arena arena = make();
  auto* const written = static_cast<std::byte*>(arena.push(kWrittenBytes));
  ASSERT_NE(written, nullptr);
  std::memset(written, 0x5A, kWrittenBytes);
  ASSERT_EQ(arena.pop(kWrittenBytes), Errc::kOk);
  const auto* const block = static_cast<const std::byte*>(arena.push_zero(kPushBytes));
  ASSERT_EQ(block, written);
  EXPECT_EQ(resident_pages(block + kWrittenBytes + kHugePageBytes, block + kPushBytes), 0U);
  EXPECT_TRUE(is_zero(block, kPushBytes));
}

TEST_P(ArenaFreshPages, WhatWasWrittenIsZeroAfterAPopAndAClear) {
  Arena arena = make();
  for (int i = 0; i < 4; ++i) {
    auto* const block = static_cast<std::byte*>(arena.push_zero(kWrittenBytes));
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(is_zero(block, kWrittenBytes)) << i;
    std::memset(block, 0x5A, kWrittenBytes);
    ASSERT_EQ(i % 2 == 0 ? arena.pop(kWrittenBytes) : arena.clear(), Errc::kOk);
  }
}

}  // namespace
}  // namespace allot
