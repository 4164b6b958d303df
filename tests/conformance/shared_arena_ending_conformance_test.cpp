// Attaching to a shared arena by name while its last user leaves: a whole arena, or none.

#include <array>
#include <barrier>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include <allot/shared_arena.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/sanitizer.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

constexpr std::uint64_t kWords = 500;
constexpr std::size_t kAttachers = 3;

std::uint64_t word_of(std::uint64_t round, std::uint64_t i) { return round * 1'000'003 + i; }

class SharedArenaEnding : public test::Conformance {
 protected:
  // A new arena with the words of `round`.
  [[nodiscard]] SharedArena make(Session& maker, std::uint64_t round) {
    auto arena = SharedArena::create(maker, "a", {256 << 10, 16 << 10}).value();
    auto* const words = arena.push_array<std::uint64_t>(kWords);
    for (std::uint64_t i = 0; i < kWords; ++i) words[i] = word_of(round, i);
    offset_ = arena.offset_of(words);
    return arena;
  }

  // Attaches again and again until the name is gone. How often it succeeded.
  [[nodiscard]] std::uint64_t attach_until_gone(Session& from, std::uint64_t round,
                                                ShareAccess access) const {
    for (std::uint64_t times = 0;; ++times) {
      auto got = SharedArena::attach(from, "a", access);
      if (!got) {
        EXPECT_EQ(got.error().errc(), Errc::kNameUnknown) << got.error().message();
        return times;
      }
      const auto* const words =
          static_cast<const std::uint64_t*>(got->at(offset_, kWords * sizeof(std::uint64_t)));
      EXPECT_NE(words, nullptr) << "round " << round;
      if (words == nullptr) return times;
      for (std::uint64_t i = 0; i < kWords; ++i) {
        EXPECT_EQ(words[i], word_of(round, i)) << "round " << round;
        if (words[i] != word_of(round, i)) return times;
      }
      if (access == ShareAccess::kReadWrite) {
        EXPECT_NE(got->push(16), nullptr) << "round " << round;
      }
    }
  }

 private:
  std::uint64_t offset_ = 0;
};
ALLOT_CONFORMANCE_SUITE(SharedArenaEnding);

TEST_P(SharedArenaEnding, WhoAttachesMeanwhileGetsAWholeArenaOrNone) {
  const std::uint64_t rounds = test::kThreadSanitizer || test::kAddressSanitizer ? 50 : 300;
  Session& other = add_session();
  Session& third = add_session();
  const std::array<Session*, kAttachers> from = {&other, &other, &third};
  std::uint64_t attached = 0;
  std::uint64_t first_refused = 0;
  for (std::uint64_t round = 1; round <= rounds && !HasFailure(); ++round) {
    std::optional<SharedArena> arena = make(session(), round);
    std::array<std::uint64_t, kAttachers> times{};
    std::barrier start(kAttachers + 1);
    test::run_threads(kAttachers + 1, [&](std::size_t i) {
      start.arrive_and_wait();
      if (i < kAttachers) {
        const auto access = i == 0 ? ShareAccess::kReadOnly : ShareAccess::kReadWrite;
        times.at(i) = attach_until_gone(*from.at(i), round, access);
        return;
      }
      // By turns its maker is among the users to the last and hides the name from the others.
      EXPECT_TRUE(arena->unpublish("a").has_value()) << "round " << round;
      arena.reset();
    });
    for (const std::uint64_t one : times) {
      attached += one;
      first_refused += one == 0 ? 1 : 0;
    }
    EXPECT_TRUE(test::refused(SharedArena::attach(third, "a"), Errc::kNameUnknown));
    expect_live(0);
  }
  RecordProperty("attached", std::to_string(attached));
  RecordProperty("first_refused", std::to_string(first_refused));
}

TEST_P(SharedArenaEnding, WhoAttachesWhileItsSessionEndsGetsAWholeArenaOrNone) {
  const std::uint64_t rounds = test::kThreadSanitizer || test::kAddressSanitizer ? 20 : 100;
  Session& other = add_session();
  Session& third = add_session();
  const std::array<Session*, 2> from = {&other, &third};
  for (std::uint64_t round = 1; round <= rounds && !HasFailure(); ++round) {
    Session maker = region().connect();
    std::optional<SharedArena> arena = make(maker, round);
    std::barrier start(3);
    test::run_threads(3, [&](std::size_t i) {
      start.arrive_and_wait();
      if (i < 2) {
        (void)attach_until_gone(*from.at(i), round, ShareAccess::kReadWrite);
        return;
      }
      EXPECT_TRUE(arena->unpublish("a").has_value()) << "round " << round;
      region().end(maker);
    });
    arena.reset();
    expect_live(0);
  }
}

}  // namespace
}  // namespace allot
