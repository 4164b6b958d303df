#include <allot/detail/own_word.hpp>

#include <cstdint>

#include <gtest/gtest.h>

namespace allot::detail {
namespace {

constexpr std::uint32_t kLastGeneration = (1U << 18) - 1;
constexpr std::uint32_t kLastSession = 4095;

TEST(OwnWord, KeepsOwnerGenerationAndFlagsApart) {
  for (const std::uint32_t owner : {0U, 1U, OwnWord::kFirstSession, kLastSession}) {
    for (const std::uint32_t generation : {0U, 1U, kLastGeneration}) {
      for (const std::uint32_t flags :
           {0U, OwnWord::kExposed, OwnWord::kOffered, OwnWord::kExposed | OwnWord::kOffered}) {
        const std::uint32_t word = OwnWord::make(owner, generation) | flags;
        EXPECT_EQ(OwnWord::owner(word), owner);
        EXPECT_EQ(OwnWord::generation(word), generation);
        EXPECT_EQ(OwnWord::is_exposed(word), (flags & OwnWord::kExposed) != 0);
        EXPECT_EQ(OwnWord::is_offered(word), (flags & OwnWord::kOffered) != 0);
      }
    }
  }
}

TEST(OwnWord, MadeOfAnotherWordTakesItsGenerationAlone) {
  const std::uint32_t other = OwnWord::make(20, 7) | OwnWord::kExposed | OwnWord::kOffered;
  EXPECT_EQ(OwnWord::make(OwnWord::kFree, other), OwnWord::make(OwnWord::kFree, 7));
}

TEST(OwnWord, ZeroIsInvalidAndNobodys) {
  EXPECT_EQ(OwnWord::owner(0), OwnWord::kInvalid);
  EXPECT_FALSE(OwnWord::is_session(0));
  EXPECT_FALSE(OwnWord::is_live(0));
}

TEST(OwnWord, SessionsAndTheServiceAreLive) {
  for (std::uint32_t owner = 0; owner <= kLastSession; ++owner) {
    const std::uint32_t word = OwnWord::make(owner, 5);
    EXPECT_EQ(OwnWord::is_session(word), owner >= 16) << owner;
    EXPECT_EQ(OwnWord::is_live(word), owner >= 16 || owner == 3) << owner;
  }
}

TEST(OwnWord, AFreeChangesTheGenerationOfAnExposedBlockOnly) {
  const std::uint32_t hidden = OwnWord::make(20, 7);
  EXPECT_EQ(OwnWord::after_free(hidden, OwnWord::kFree), OwnWord::make(OwnWord::kFree, 7));
  EXPECT_EQ(OwnWord::after_free(hidden | OwnWord::kExposed, OwnWord::kFreed),
            OwnWord::make(OwnWord::kFreed, 8));
  EXPECT_EQ(OwnWord::after_free(hidden | OwnWord::kExposed | OwnWord::kOffered, OwnWord::kFree),
            OwnWord::make(OwnWord::kFree, 8))
      << "no flag survives a free";
}

TEST(OwnWord, GenerationsGoRoundWithoutTouchingTheOwner) {
  const std::uint32_t last = OwnWord::make(20, kLastGeneration) | OwnWord::kExposed;
  EXPECT_EQ(OwnWord::after_free(last, OwnWord::kFreed), OwnWord::make(OwnWord::kFreed, 0));
}

}  // namespace
}  // namespace allot::detail
