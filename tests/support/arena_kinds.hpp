// ArenaKinds: the fixture of tests that hold for every kind of arena over every source.
#pragma once

#include <gtest/gtest.h>

#include <allot/arena.hpp>

#include "tests/support/arena_under_test.hpp"

namespace allot::test {

class ArenaKinds : public testing::TestWithParam<ArenaCase> {
 protected:
  Arena& arena() { return under_test_.arena(); }
  ArenaUnderTest& under_test() { return under_test_; }
  [[nodiscard]] static bool chains() {
    return GetParam().kind == ArenaKind::kChained || GetParam().kind == ArenaKind::kChainedVirtual;
  }
  [[nodiscard]] static bool checked() { return GetParam().checks == ArenaChecks::kOn; }

  /// Expects that a call failed for this reason and that the arena is as it was.
  void expect_unchanged(const ArenaMark& before) {
    EXPECT_EQ(arena().pos(), before);
    EXPECT_NE(arena().push(1, 1), nullptr);
    EXPECT_EQ(arena().pop_to(before), Errc::kOk);
  }

 private:
  ArenaUnderTest under_test_{GetParam()};
};

}  // namespace allot::test

// Runs the tests of `Suite`, a class derived from ArenaKinds, over all of them.
#define ALLOT_ARENA_SUITE(Suite)                                                          \
  INSTANTIATE_TEST_SUITE_P(Any, Suite, testing::ValuesIn(allot::test::all_arena_cases()), \
                           allot::test::arena_case_name)
