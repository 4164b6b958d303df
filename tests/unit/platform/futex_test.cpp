#include "shared/platform/futex.hpp"

#include <sched.h>

#include <chrono>
#include <limits>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
#include "shared/platform/page_size.hpp"
#include "shared/platform/window.hpp"
#include "tests/support/forked_child.hpp"

namespace allot::platform {
namespace {

using namespace std::chrono_literals;
using test::ForkedChild;
using test::Pipe;
using Clock = std::chrono::steady_clock;

// Seconds and a fraction: the kernel takes them apart.
constexpr auto kLong = 10'500ms;

Window map_page(const Descriptor& file) {
  Window window = Window::reserve({.reserve_bytes = page_size_bytes()}).value();
  window.extend(file, page_size_bytes()).value();
  return window;
}

const std::uint32_t* word_of(const Window& window) {
  return reinterpret_cast<const std::uint32_t*>(window.base());
}

// Wakes until a sleeper was hit: it may not sleep yet.
bool wake_one(const std::uint32_t* word) {
  const auto deadline = Clock::now() + kLong;
  while (Clock::now() < deadline) {
    if (futex_wake(word, 1) == 1) return true;
    ::sched_yield();
  }
  return false;
}

TEST(Futex, WakesASleeperThatMapsTheWordElsewhere) {
  const auto file = make_sealed_memfd("futex_test", page_size_bytes());
  ASSERT_TRUE(file);
  const Window window = map_page(*file);
  const Pipe pipe;
  ForkedChild child([&] {
    const Window own = map_page(*file);
    pipe.put(reinterpret_cast<std::uintptr_t>(own.base()));
    return futex_wait(word_of(own), 0, kLong) == FutexWait::kChanged ? 0 : 1;
  });
  EXPECT_NE(pipe.take(), reinterpret_cast<std::uintptr_t>(window.base()));
  EXPECT_TRUE(wake_one(word_of(window)));
  EXPECT_EQ(child.wait(), test::exited(0));
}

TEST(Futex, WakesNoMoreThanAskedFor) {
  const auto file = make_sealed_memfd("futex_test", page_size_bytes());
  ASSERT_TRUE(file);
  const Window window = map_page(*file);
  const auto sleep_once = [&] {
    const Window own = map_page(*file);
    return futex_wait(word_of(own), 0, kLong) == FutexWait::kChanged ? 0 : 1;
  };
  ForkedChild first(sleep_once);
  ForkedChild second(sleep_once);
  EXPECT_TRUE(wake_one(word_of(window)));
  EXPECT_TRUE(wake_one(word_of(window)));
  EXPECT_EQ(futex_wake(word_of(window), std::numeric_limits<int>::max()), 0) << "nobody is left";
  EXPECT_EQ(first.wait(), test::exited(0));
  EXPECT_EQ(second.wait(), test::exited(0));
}

TEST(Futex, DoesNotSleepOnAChangedWord) {
  const std::uint32_t word = 7;
  const auto begin = Clock::now();
  EXPECT_EQ(futex_wait(&word, 8, kLong), FutexWait::kChanged);
  EXPECT_LT(Clock::now() - begin, kLong);
}

TEST(Futex, TimesOutButNotEarly) {
  const std::uint32_t word = 7;
  const auto begin = Clock::now();
  EXPECT_EQ(futex_wait(&word, 7, 20ms), FutexWait::kTimedOut);
  EXPECT_GE(Clock::now() - begin, 20ms);
}

// A caller that waits in turns with a deadline may ask for less than nothing; it must not spin.
TEST(Futex, TakesATimeThatIsOverForATimeout) {
  const std::uint32_t word = 7;
  EXPECT_EQ(futex_wait(&word, 7, 0ns), FutexWait::kTimedOut);
  EXPECT_EQ(futex_wait(&word, 7, -1ns), FutexWait::kTimedOut);
  EXPECT_EQ(futex_wait(&word, 7, -5s), FutexWait::kTimedOut);
}

}  // namespace
}  // namespace allot::platform
