#include <allot/mapped_scratch.hpp>

#include <sys/mman.h>

#include <cstring>

#include <gtest/gtest.h>

#include "shared/platform/page_size.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/sanitizer.hpp"

namespace allot {
namespace {

bool is_mapped(const std::byte* page) {
  return ::msync(const_cast<std::byte*>(page), platform::page_size_bytes(), MS_ASYNC) == 0;
}

TEST(MappedScratch, HasGuardsOnBothSides) {
  if (test::kAddressSanitizer || test::kThreadSanitizer) GTEST_SKIP() << "probes by faulting";
  const std::byte* place = nullptr;
  {
    MappedScratch mapped(10'000);
    ASSERT_TRUE(mapped);
    auto* const block = static_cast<std::byte*>(mapped.arena().push(10'000, 1));
    ASSERT_EQ(block, mapped.data());
    std::memset(block, 1, 10'000);
    place = block;
    EXPECT_TRUE(test::read_faults(mapped.data() - 1));
    EXPECT_TRUE(is_mapped(mapped.data() - platform::page_size_bytes())) << "a guard, not a gap";
    EXPECT_TRUE(is_mapped(mapped.data() + mapped.size_bytes()));
    EXPECT_TRUE(test::read_faults(mapped.data() + mapped.size_bytes()));
    EXPECT_FALSE(test::read_faults(place));
    EXPECT_EQ(mapped.size_bytes() % platform::page_size_bytes(), 0U);
    EXPECT_EQ(mapped.arena().push(mapped.size_bytes(), 1), nullptr);
    EXPECT_EQ(Arena::last_error(), Errc::kArenaFull);
  }
  EXPECT_TRUE(test::read_faults(place));
}

TEST(MappedScratch, RefusesWhatCannotBe) {
  for (const std::size_t size : {std::size_t{0}, ~std::size_t{0}, std::size_t{1} << 47}) {
    MappedScratch mapped(size);
    EXPECT_FALSE(mapped);
    EXPECT_EQ(Arena::last_error(), Errc::kBadArgument);
    EXPECT_EQ(mapped.arena().push(1), nullptr);
  }
}

}  // namespace
}  // namespace allot
