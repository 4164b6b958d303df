#include "shared/region/span_descriptor.hpp"

#include <bit>
#include <cstdint>

#include <gtest/gtest.h>

#include "shared/region/geometry.hpp"
#include "tests/support/seed.hpp"

namespace allot::region {
namespace {

constexpr std::uint32_t kMaxSession = 0xFFF;
constexpr std::uint32_t kMaxLength = 0x1FF'FFFF;
constexpr std::uint32_t kMaxUnits = 0xF'FFFF;
constexpr unsigned kUsedBits = 60;

TEST(SpanDescriptor, ZeroIsAbsent) {
  EXPECT_EQ(SpanDescriptor::decode(0), SpanDescriptor{});
  EXPECT_EQ(SpanDescriptor{}.encode(), 0U);
  EXPECT_EQ(SpanDescriptor{}.state, SpanState::kAbsent);
}

TEST(SpanDescriptor, EveryExtremeOfEveryFieldComesBack) {
  for (const SpanState state :
       {SpanState::kAbsent, SpanState::kGranted, SpanState::kOrphan, SpanState::kInterior}) {
    for (const std::uint32_t session : {0U, 1U, kFirstSession, kMaxSession}) {
      for (const std::uint32_t length :
           {0U, 1U, static_cast<std::uint32_t>(kMaxGranules), kMaxLength}) {
        for (const std::uint32_t units : {0U, 1U, kMaxUnits}) {
          const SpanDescriptor one{state, session, length, units};
          EXPECT_EQ(SpanDescriptor::decode(one.encode()), one);
        }
      }
    }
  }
}

TEST(SpanDescriptor, FieldsShareNoBit) {
  const std::uint64_t state = SpanDescriptor{static_cast<SpanState>(7), 0, 0, 0}.encode();
  const std::uint64_t session = SpanDescriptor{SpanState::kAbsent, kMaxSession, 0, 0}.encode();
  const std::uint64_t length = SpanDescriptor{SpanState::kAbsent, 0, kMaxLength, 0}.encode();
  const std::uint64_t units = SpanDescriptor{SpanState::kAbsent, 0, 0, kMaxUnits}.encode();
  EXPECT_EQ(
      std::popcount(state) + std::popcount(session) + std::popcount(length) + std::popcount(units),
      static_cast<int>(kUsedBits));
  EXPECT_EQ(state | session | length | units, (std::uint64_t{1} << kUsedBits) - 1);
}

TEST(SpanDescriptor, AnyBitsDecodeToFieldsInRange) {
  const test::SeedRange range = test::seeds(10'000);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    const std::uint64_t bits = test::Random(seed).next();
    const SpanDescriptor one = SpanDescriptor::decode(bits);
    ASSERT_LE(one.session, kMaxSession);
    ASSERT_LE(one.granules, kMaxLength);
    ASSERT_LE(one.word_units, kMaxUnits);
    ASSERT_EQ(one.encode(), bits & ((std::uint64_t{1} << kUsedBits) - 1));
  }
}

TEST(SpanDescriptor, OnlyGrantedAndOrphanAreHeads) {
  for (std::uint64_t state = 0; state < 8; ++state) {
    EXPECT_EQ(SpanDescriptor::decode(state).is_head(), state == 1 || state == 2) << state;
  }
}

TEST(SpanDescriptor, HoldsTheLongestSpanAndEverySession) {
  EXPECT_LE(kMaxGranules, kMaxLength);
  EXPECT_LE(kSessionLimit - 1, kMaxSession);
}

}  // namespace
}  // namespace allot::region
