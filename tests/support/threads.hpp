// Threads of a test: several that do the same, and contests that exactly one may win.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace allot::test {

/// Calls `body` with 0 .. count-1, each in a thread of its own; returns when all have ended.
inline void run_threads(std::size_t count, const std::function<void(std::size_t)>& body) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (std::size_t i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

struct Contest {
  std::function<void()> prepare;
  std::function<bool(std::size_t)> enter;  // by each thread; whether it won
  std::function<void()> finish;
};

/// Holds `contest` again and again, with all threads let go at once; expects one winner each time.
inline void expect_one_winner(int rounds, std::size_t threads, const Contest& contest) {
  for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    contest.prepare();
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t ready = 0;
    int winners = 0;
    run_threads(threads, [&](std::size_t i) {
      {
        std::unique_lock lock(mutex);
        ++ready;
        changed.notify_all();
        changed.wait(lock, [&] { return ready == threads; });
      }
      const bool won = contest.enter(i);
      const std::lock_guard lock(mutex);
      winners += won ? 1 : 0;
    });
    EXPECT_EQ(winners, 1) << "round " << round;
    contest.finish();
  }
}

}  // namespace allot::test
