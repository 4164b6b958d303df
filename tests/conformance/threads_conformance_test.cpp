// Many threads in one session: each has its own heap, and any thread may free any block.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/detail/fast_heap.hpp>
#include <allot/fast.hpp>
#include <allot/session.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::HeapOracle;
using test::Random;
using test::run_threads;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// Blocks on their way from thread to thread; at most `room` of them, if anybody waits for room.
class Mailbox {
 public:
  explicit Mailbox(std::size_t room = 1000) : room_(room) {}

  void put(const HeapOracle::Block& block) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return blocks_.size() < room_; });
    blocks_.push_back(block);
    changed_.notify_all();
  }
  [[nodiscard]] HeapOracle::Block take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !blocks_.empty(); });
    const HeapOracle::Block block = blocks_.front();
    blocks_.pop_front();
    changed_.notify_all();
    return block;
  }

 private:
  std::size_t room_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<HeapOracle::Block> blocks_;
};

class Threads : public test::Conformance {
 protected:
  /// The number of the calling thread's heap, which it has after its first allocation.
  std::uint32_t heap_id() { return FastAccess::heap(session()).id; }
};
ALLOT_CONFORMANCE_SUITE(Threads);

TEST_P(Threads, EachKeepsItsBlocksAndAnotherFreesThem) {
  const auto range = test::seeds(3);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    std::vector<HeapOracle> oracles(6, HeapOracle(session()));
    run_threads(oracles.size(), [&](std::size_t i) {
      Random random(seed * 100 + i);
      test::run_random_operations(oracles[i], random, 5000, 300);
    });
    std::uint64_t live = 0;
    for (const HeapOracle& oracle : oracles) live += oracle.size();
    expect_live(live);
    for (HeapOracle& oracle : oracles) oracle.free_all();
  }
}

TEST_P(Threads, BlocksGoRoundARing) {
  constexpr std::size_t kThreads = 4;
  constexpr int kRounds = 4000;
  std::deque<Mailbox> boxes(kThreads);
  std::vector<HeapOracle> oracles(kThreads, HeapOracle(session()));
  run_threads(kThreads, [&](std::size_t i) {
    Random random(i + 1);
    HeapOracle& mine = oracles[i];
    for (int round = 0; round < kRounds; ++round) {
      (void)mine.allocate(test::any_size(random));
      boxes[(i + 1) % kThreads].put(mine.take(random.below(mine.size())));
      mine.put(boxes[i].take());
      while (mine.size() > 20) mine.free(random.below(mine.size()));
    }
  });
  std::uint64_t live = 0;
  for (HeapOracle& oracle : oracles) {
    oracle.check();
    live += oracle.size();
  }
  expect_live(live);
  for (HeapOracle& oracle : oracles) oracle.free_all();
}

TEST_P(Threads, AProducerAndAConsumerNeedNoMoreThanIsOnItsWay) {
  for (const std::size_t size : {std::size_t{64}, std::size_t{3000}}) {
    Mailbox box;
    run_threads(2, [&](std::size_t i) {
      for (int n = 0; n < 50'000; ++n) {
        if (i == 0) {
          box.put({session().allocate(size), size, 0});
        } else {
          ASSERT_EQ(session().free(box.take().address), Errc::kOk);
        }
      }
    });
    expect_live(0);
    const std::uint64_t granted = region().audit().granted_bytes;
    EXPECT_LT(granted, 16 * kMiB) << "at most " << 1001 * size << " bytes were in use";
    (void)session().trim();
  }
}

TEST_P(Threads, AnEndedThreadsHeapServesTheNext) {
  EXPECT_EQ(session().free(session().allocate(100)), Errc::kOk);  // this thread has its own
  std::set<std::uint32_t> heaps;
  std::uint64_t granted = 0;
  for (int i = 0; i < 30; ++i) {
    HeapOracle left_behind(session());
    run_threads(1, [&](std::size_t) {
      for (int n = 0; n < 1000; ++n) (void)left_behind.allocate(100);
      heaps.insert(heap_id());
    });
    left_behind.free_all();
    // The first thread's blocks were freed by this one; from then on that memory goes round.
    if (i == 1) granted = region().audit().granted_bytes;
    if (i > 1) {
      EXPECT_EQ(region().audit().granted_bytes, granted);
    }
  }
  EXPECT_EQ(heaps.size(), 1U);
}

TEST_P(Threads, ThreadsAtOnceHaveHeapsOfTheirOwn) {
  constexpr std::size_t kThreads = 8;
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::uint32_t> all;
  for (int round = 0; round < 3; ++round) {
    std::set<std::uint32_t> heaps;
    std::size_t arrived = 0;
    run_threads(kThreads, [&](std::size_t) {
      EXPECT_EQ(session().free(session().allocate(10)), Errc::kOk);
      std::unique_lock lock(mutex);
      heaps.insert(heap_id());
      ++arrived;
      changed.notify_all();
      changed.wait(lock, [&] { return arrived == kThreads; });
    });
    EXPECT_EQ(heaps.size(), kThreads);
    all.insert(heaps.begin(), heaps.end());
    EXPECT_EQ(all.size(), kThreads) << "the same ones again";
  }
}

// Frees and allocates in its destructor, which runs after the thread's heaps were parked.
struct LateFree {
  Session* session = nullptr;
  void* block = nullptr;
  Errc errc = Errc::kSystem;
  static inline std::vector<Errc> seen;

  ~LateFree() {
    if (session == nullptr) return;
    seen.push_back(session->free(block));
    EXPECT_EQ(session->allocate(0), nullptr);
    EXPECT_EQ(session->allocate(100), nullptr);
    EXPECT_EQ(Session::last_error().errc(), Errc::kClosed) << Session::last_error().message();
  }
};

TEST_P(Threads, LateDestructorsMayFree) {
  LateFree::seen.clear();
  for (const std::size_t size : {std::size_t{64}, std::size_t{kMiB}}) {
    run_threads(1, [&](std::size_t) {
      static thread_local LateFree late;
      late.session = &session();
      EXPECT_EQ(session().free(session().allocate(64)), Errc::kOk);  // makes a heap
      late.block = session().allocate(size);
      EXPECT_EQ(session().allocate(std::size_t{1} << 60), nullptr);  // makes last_error()
    });
  }
  EXPECT_EQ(LateFree::seen, (std::vector<Errc>{Errc::kOk, Errc::kOk}));
  expect_live(0);
}

TEST_P(Threads, AThreadOutlivesASessionAndUsesTheNext) {
  std::mutex mutex;
  std::condition_variable changed;
  int stage = 0;
  const auto reach = [&](int next) {
    std::unique_lock lock(mutex);
    stage = next;
    changed.notify_all();
  };
  const auto wait_for = [&](int wanted) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return stage >= wanted; });
  };
  std::vector<Session> sessions = {region().connect()};
  std::thread thread([&] {
    EXPECT_EQ(sessions[0].free(sessions[0].allocate(100)), Errc::kOk);
    EXPECT_EQ(session().free(session().allocate(100)), Errc::kOk);
    reach(1);
    wait_for(2);
    EXPECT_EQ(sessions[0].free(sessions[0].allocate(100)), Errc::kOk);
    EXPECT_EQ(session().free(session().allocate(100)), Errc::kOk);
    reach(3);
    wait_for(4);
  });
  wait_for(1);
  region().end(sessions[0]);
  sessions.clear();
  sessions.push_back(region().connect());  // in the same slot of the thread's table
  reach(2);
  wait_for(3);
  region().end(sessions[0]);
  sessions.clear();
  reach(4);
  thread.join();
}

TEST_P(Threads, ASessionMayCloseWhileThreadsEnd) {
  for (int round = 0; round < 30; ++round) {
    Session one = region().connect();
    std::mutex mutex;
    std::condition_variable changed;
    int done = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        EXPECT_NE(one.allocate(100), nullptr);
        const std::lock_guard lock(mutex);
        ++done;
        changed.notify_all();
      });
    }
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return done == 4; });
    }
    one.close();  // while they park their heaps
    for (std::thread& thread : threads) thread.join();
    region().end(one);
  }
}

TEST_P(Threads, BeyondTheLimitOfHeapsAThreadMayStillFree) {
  if (GetParam() == test::Backend::kEmbedded) GTEST_SKIP() << "its limit is 4096";
  open({.max_heaps = 3});
  void* const block = session().allocate(100);
  std::mutex mutex;
  std::condition_variable changed;
  int failed = 0;
  int ended = 0;
  run_threads(3, [&](std::size_t) {
    void* const mine = session().allocate(100);
    std::unique_lock lock(mutex);
    if (mine == nullptr) {
      EXPECT_EQ(Session::last_error().errc(), Errc::kTooManyHeaps);
      ++failed;
    }
    ++ended;
    changed.notify_all();
    changed.wait(lock, [&] { return ended == 3; });
    if (mine == nullptr && failed == 2) {
      ++failed;  // one of the two frees
      EXPECT_EQ(session().free(block), Errc::kOk);
    }
    if (mine != nullptr) {
      EXPECT_EQ(session().free(mine), Errc::kOk);
    }
  });
  EXPECT_EQ(failed, 3);
}

}  // namespace
}  // namespace allot
