#include <allot/handle.hpp>

#include <cstdint>
#include <set>
#include <type_traits>
#include <unordered_set>

#include <gtest/gtest.h>

#include "tests/support/seed.hpp"

namespace allot {
namespace {

static_assert(std::is_trivially_copyable_v<Handle> && sizeof(Handle) == 8);
static_assert(std::has_unique_object_representations_v<Handle>);

TEST(Handle, TheEmptyOneNamesNothing) {
  EXPECT_FALSE(Handle());
  EXPECT_EQ(Handle().bits(), 0U);
  EXPECT_EQ(Handle(), Handle::from_bits(0));
}

TEST(Handle, KeepsItsPartsApart) {
  constexpr std::uint64_t kLastOffset = (std::uint64_t{1} << 40) - 16;
  constexpr std::uint32_t kLastGeneration = (1U << 18) - 1;
  for (const std::uint32_t tag : {1U, 2U, 1023U}) {
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{16}, kLastOffset}) {
      for (const std::uint32_t generation : {0U, 1U, kLastGeneration}) {
        const Handle handle = Handle::make(tag, offset, generation);
        EXPECT_TRUE(handle) << "a tag is never 0";
        EXPECT_EQ(handle.region_tag(), tag);
        EXPECT_EQ(handle.offset_bytes(), offset);
        EXPECT_EQ(handle.generation(), generation);
        EXPECT_EQ(Handle::from_bits(handle.bits()), handle);
      }
    }
  }
}

TEST(Handle, AnyBitsAreAHandle) {
  test::Random random(1);
  for (int i = 0; i < 10'000; ++i) {
    const Handle handle = Handle::from_bits(random.next());
    EXPECT_EQ(Handle::make(handle.region_tag(), handle.offset_bytes(), handle.generation()),
              handle);
    EXPECT_LT(handle.offset_bytes(), std::uint64_t{1} << 40);
  }
}

TEST(Handle, IsAKey) {
  const Handle low = Handle::make(1, 16, 5);
  const Handle high = Handle::make(1, 32, 5);
  EXPECT_LT(low, high);
  EXPECT_EQ((std::set<Handle>{high, low, low}).size(), 2U);
  EXPECT_EQ((std::unordered_set<Handle>{high, low, low}).size(), 2U);
}

}  // namespace
}  // namespace allot
