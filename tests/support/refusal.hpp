// refused(): whether an Expected holds a certain Errc, with a message that says what else it holds.
#pragma once

#include <gtest/gtest.h>

#include <allot/expected.hpp>

namespace allot::test {

template <class T>
[[nodiscard]] testing::AssertionResult refused(const Expected<T>& result, Errc errc) {
  if (result) return testing::AssertionFailure() << "was not refused";
  if (result.error() == errc) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "refused as: " << result.error().message();
}

}  // namespace allot::test
