// Each block has exactly one owner at any instant, however it is handed over.

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/seed.hpp"

namespace allot {
namespace {

using test::Random;
using test::refused;

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Frame {
  std::uint64_t width = 0;
  std::uint64_t height = 0;
};

class Ownership : public test::Conformance {};
ALLOT_CONFORMANCE_SUITE(Ownership);

TEST_P(Ownership, AHandleStaysTheSameWhileItsBlockLives) {
  void* const block = session().allocate(100);
  const Handle handle = session().handle_of(block).value();
  EXPECT_EQ(session().handle_of(block).value(), handle);
  EXPECT_EQ(session().offer(block).value(), handle);
  EXPECT_EQ(session().offer(block).value(), handle);
  EXPECT_EQ(session().retract(handle).value(), block);
  EXPECT_EQ(session().resolve(handle).value(), block);
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Ownership, ABlockGoesFromHandToHandWithItsContents) {
  for (const std::size_t size :
       {std::size_t{16}, std::size_t{3000}, std::size_t{40'000}, std::size_t{80'000}, 5 * kMiB}) {
    Session& second = add_session();
    Session& third = add_session();
    void* const here = session().allocate(size);
    test::fill_block(here, size, 11);
    const Handle handle = session().offer(here).value();

    void* const there = second.adopt(handle).value();
    EXPECT_NE(there, here);
    EXPECT_TRUE(test::holds_pattern(there, size, 11));
    test::fill_block(there, size, 12);
    EXPECT_EQ(session().free(here), Errc::kNotOwner);
    EXPECT_EQ(second.offer(there).value(), handle) << "not freed, so the handle is the same";

    void* const last = third.adopt(handle).value();
    EXPECT_TRUE(test::holds_pattern(last, size, 12));
    EXPECT_EQ(second.free(there), Errc::kNotOwner);
    expect_live(1);
    EXPECT_EQ(third.free(last), Errc::kOk);
    for (Session* const one : {&session(), &second, &third}) {
      EXPECT_TRUE(refused(one->resolve(handle), Errc::kStaleHandle));
      EXPECT_TRUE(refused(one->adopt(handle), Errc::kStaleHandle));
    }
    expect_live(0);
  }
}

TEST_P(Ownership, OneAdopterSucceeds) {
  Session& other = add_session();
  void* const block = session().allocate(100);
  const Handle handle = session().offer(block).value();
  void* const there = other.adopt(handle).value();
  EXPECT_TRUE(refused(other.adopt(handle), Errc::kNotOffered));
  EXPECT_TRUE(refused(session().adopt(handle), Errc::kNotOffered));
  EXPECT_TRUE(refused(session().retract(handle), Errc::kNotOwner));
  EXPECT_EQ(other.free(there), Errc::kOk);
}

TEST_P(Ownership, WhatIsNotOfferedIsNotAdopted) {
  Session& other = add_session();
  void* const block = session().allocate(100);
  const Handle handle = session().handle_of(block).value();
  EXPECT_TRUE(refused(other.adopt(handle), Errc::kNotOffered));
  EXPECT_TRUE(refused(session().retract(handle), Errc::kNotOffered));

  EXPECT_EQ(session().offer(block).value(), handle);
  EXPECT_TRUE(refused(other.retract(handle), Errc::kNotOwner));
  EXPECT_EQ(session().retract(handle).value(), block);
  EXPECT_TRUE(refused(other.adopt(handle), Errc::kNotOffered));
  EXPECT_TRUE(refused(session().retract(handle), Errc::kNotOffered));
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Ownership, AnOwnerMayAdoptItsOwnOffer) {
  void* const block = session().allocate(100);
  const Handle handle = session().offer(block).value();
  EXPECT_EQ(session().adopt(handle).value(), block);
  EXPECT_TRUE(refused(session().adopt(handle), Errc::kNotOffered));
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Ownership, AnOfferedBlockMayBeFreed) {
  Session& other = add_session();
  void* const block = session().allocate(100);
  const Handle handle = session().offer(block).value();
  EXPECT_EQ(session().free(block), Errc::kOk);
  EXPECT_TRUE(refused(other.adopt(handle), Errc::kStaleHandle));
  EXPECT_TRUE(refused(session().retract(handle), Errc::kStaleHandle));
}

TEST_P(Ownership, OffersListsWhatNobodyHasTaken) {
  Session& other = add_session();
  EXPECT_TRUE(session().offers().empty());
  std::set<Handle> wanted;
  for (const std::size_t size : {std::size_t{16}, std::size_t{500}, std::size_t{20'000}, kMiB}) {
    for (int i = 0; i < 5; ++i) wanted.insert(session().offer(session().allocate(size)).value());
  }
  const Handle theirs = other.offer(other.allocate(64)).value();
  const auto listed = [&] {
    const std::vector<Handle> list = session().offers();
    return std::set<Handle>(list.begin(), list.end());
  };
  EXPECT_EQ(listed(), wanted);
  EXPECT_EQ(other.offers(), std::vector<Handle>{theirs});

  const Handle adopted = *wanted.begin();
  EXPECT_EQ(other.free(other.adopt(adopted).value()), Errc::kOk);
  wanted.erase(adopted);
  EXPECT_EQ(listed(), wanted);
  // Also what we adopted from another's span and offer again.
  void* const passed_on = session().adopt(theirs).value();
  wanted.insert(session().offer(passed_on).value());
  EXPECT_EQ(listed(), wanted);
  for (const Handle handle : wanted) {
    EXPECT_EQ(session().free(session().retract(handle).value()), Errc::kOk);
  }
  EXPECT_TRUE(session().offers().empty());
}

TEST_P(Ownership, OwnedFreesWhatIsStillItsOwn) {
  Session& other = add_session();
  {
    auto frame = session().make<Frame>(Frame{640, 480});
    ASSERT_TRUE(frame);
    expect_live(1);
    auto moved = std::move(frame);
    EXPECT_FALSE(frame);  // NOLINT(bugprone-use-after-move): empty by contract
    EXPECT_EQ(moved->width, 640U);
  }
  expect_live(0);

  Handle taken;
  Owned<Frame> there;
  {
    auto frame = session().make<Frame>(Frame{320, 200});
    taken = frame.offer().value();
    there = other.adopt<Frame>(taken).value();
  }
  EXPECT_EQ(there->height, 200U) << "its former owner's destructor left it alone";
  there.reset();
  expect_live(0);
  EXPECT_TRUE(refused(other.resolve(taken), Errc::kStaleHandle));
}

TEST_P(Ownership, DetachedObjectsStayTheSessions) {
  Session& other = add_session();
  Handle handle;
  {
    auto frame = session().make<Frame>(Frame{1, 2});
    handle = frame.offer().value();
    (void)std::move(frame).detach();
  }
  expect_live(1);
  EXPECT_EQ(session().offers(), std::vector<Handle>{handle});
  EXPECT_EQ(other.adopt<Frame>(handle).value()->height, 2U);  // and freed at the semicolon
  expect_live(0);
}

TEST_P(Ownership, AdoptionAsATypeThatDoesNotFitTakesNothing) {
  Session& other = add_session();
  auto small = session().make<std::uint64_t>(5U);
  const Handle handle = small.offer().value();
  struct alignas(64) Wide {
    std::uint64_t values[8];
  };
  using Many = std::array<std::uint64_t, 1000>;
  EXPECT_TRUE(refused(other.adopt<Wide>(handle), Errc::kTypeMismatch));
  EXPECT_TRUE(refused(other.adopt<Many>(handle), Errc::kTypeMismatch));
  EXPECT_EQ(session().offers(), std::vector<Handle>{handle}) << "still offered";
  auto there = other.adopt<std::uint64_t>(handle).value();
  EXPECT_EQ(*there, 5U);
}

TEST_P(Ownership, ArraysAreAdoptedWithWhatFitsTheirBlock) {
  Session& other = add_session();
  auto numbers = session().make_array<std::uint32_t>(1000);
  ASSERT_EQ(numbers.size(), 1000U);
  EXPECT_EQ(std::count(numbers.span().begin(), numbers.span().end(), 0U), 1000);
  for (std::uint32_t i = 0; i < 1000; ++i) numbers[i] = i * i;
  const Handle handle = numbers.offer().value();
  (void)std::move(numbers).detach();
  auto there = other.adopt<std::uint32_t[]>(handle).value();
  EXPECT_GE(there.size(), 1000U);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_EQ(there[i], i * i);
}

TEST_P(Ownership, ASessionsEndFreesWhatItOwnsAndNothingElse) {
  Session& other = add_session();
  std::vector<std::pair<void*, std::uint64_t>> adopted;
  std::vector<Handle> of_dead;
  for (std::uint64_t i = 0; i < 100; ++i) {
    const std::size_t size = i % 10 == 0 ? kMiB : 200;
    void* const given = session().allocate(size);
    test::fill_block(given, size, i);
    adopted.emplace_back(other.adopt(session().offer(given).value()).value(), i);
    of_dead.push_back(session().offer(session().allocate(size)).value());
    of_dead.push_back(session().handle_of(session().allocate(size)).value());
  }
  region().end(session());
  expect_live(100);
  for (const Handle handle : of_dead) EXPECT_TRUE(refused(other.adopt(handle), Errc::kStaleHandle));
  for (const auto& [block, seed] : adopted) {
    EXPECT_TRUE(test::holds_pattern(block, seed % 10 == 0 ? kMiB : 200, seed));
    EXPECT_EQ(other.free(block), Errc::kOk);
    EXPECT_EQ(other.free(block) == Errc::kOk, false);
  }
}

// Three sessions allocate, offer, adopt, retract and free in any order; an oracle knows each owner.
TEST_P(Ownership, RandomHandOversAgreeWithTheOracle) {
  struct Known {
    Handle handle;
    std::size_t owner = 0;
    bool offered = false;
    std::size_t size_bytes = 0;
    std::uint64_t seed = 0;
  };
  std::vector<Session*> sessions = {&session(), &add_session(), &add_session()};
  const auto range = test::seeds(10);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    Random random(seed);
    std::vector<Known> blocks;
    for (std::uint64_t i = 0; i < 4000 && !HasFailure(); ++i) {
      const std::size_t who = random.below(sessions.size());
      Session& one = *sessions[who];
      if (blocks.size() < 20 || (blocks.size() < 200 && random.percent(30))) {
        const std::size_t size = test::any_size(random);
        void* const block = one.allocate(size);
        test::fill_block(block, size, i);
        blocks.push_back({one.handle_of(block).value(), who, false, size, i});
        continue;
      }
      const std::size_t which = random.below(blocks.size());
      Known& known = blocks[which];
      void* const place = one.resolve(known.handle).value();
      switch (random.below(4U)) {
        case 0:
          EXPECT_EQ(one.offer(place).has_value(), known.owner == who);
          known.offered = known.offered || known.owner == who;
          break;
        case 1:
          EXPECT_EQ(one.adopt(known.handle).has_value(), known.offered);
          if (known.offered) known.owner = who;
          known.offered = false;
          break;
        case 2: {
          const bool may = known.offered && known.owner == who;
          EXPECT_EQ(one.retract(known.handle).has_value(), may);
          if (may) known.offered = false;
          break;
        }
        default:
          EXPECT_TRUE(test::holds_pattern(place, known.size_bytes, known.seed));
          EXPECT_EQ(one.free(place), known.owner == who ? Errc::kOk : Errc::kNotOwner);
          if (known.owner == who) {
            EXPECT_TRUE(refused(one.resolve(known.handle), Errc::kStaleHandle));
            known = blocks.back();
            blocks.pop_back();
          }
      }
    }
    expect_live(blocks.size());
    for (const Known& known : blocks) {
      Session& owner = *sessions[known.owner];
      EXPECT_EQ(owner.free(owner.resolve(known.handle).value()), Errc::kOk);
    }
  }
}

}  // namespace
}  // namespace allot
