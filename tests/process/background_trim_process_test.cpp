// What a session keeps for later goes back by itself, if it is asked to trim in the background.

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/control_client.hpp"
#include "tests/support/daemon_with_deadline.hpp"
#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class BackgroundTrim : public test::DaemonWithDeadline {
 protected:
  [[nodiscard]] Session connect_trimming(milliseconds period = milliseconds(2)) const {
    ConnectOptions trimming = options(test::kPatience);
    trimming.trim_every = period;
    return Session::connect(trimming).value();
  }
  /// Waits until no more than so much is granted.
  void await_granted(std::uint64_t most_bytes) const {
    const auto begun = Clock::now();
    for (std::uint64_t granted = check().granted_bytes; granted > most_bytes;
         granted = check().granted_bytes) {
      ASSERT_LT(Clock::now() - begun, test::kPatience) << granted << " bytes are granted";
    }
  }
};

std::vector<void*> fill(Session& session, std::size_t size_bytes, std::size_t total_bytes) {
  std::vector<void*> blocks(total_bytes / size_bytes);
  EXPECT_TRUE(session.allocate_n(size_bytes, blocks)) << Session::last_error().message();
  return blocks;
}

TEST_F(BackgroundTrim, GivesBackWhileTheSessionIsNotCalled) {
  Session session = connect_trimming();
  // Large blocks, which are kept for the next, and those of a thread that has ended.
  EXPECT_TRUE(session.free_n(fill(session, 4 * kMiB, 32 * kMiB)));
  std::thread([&] { EXPECT_TRUE(session.free_n(fill(session, 64, 8 * kMiB))); }).join();
  await_granted(0);
}

TEST_F(BackgroundTrim, AThreadThatLivesGivesBackAtItsNextCallThatIsNotFast) {
  Session session = connect_trimming();
  EXPECT_TRUE(session.free_n(fill(session, 64, 8 * kMiB)));
  const auto begun = Clock::now();
  // Sizes of which it has no free block, or none any more: each takes a span, and what was asked for
  // goes back.
  for (std::size_t size_bytes = 128; check().granted_bytes >= kMiB;
       size_bytes = size_bytes % 1024 + 128) {
    ASSERT_LT(Clock::now() - begun, test::kPatience) << check().granted_bytes;
    EXPECT_EQ(session.free(session.allocate(size_bytes)), Errc::kOk);
  }
}

TEST_F(BackgroundTrim, TakesNothingThatIsInUse) {
  Session session = connect_trimming(milliseconds(1));
  std::vector<std::uint64_t*> kept;
  for (int round = 0; round < 100; ++round) {
    for (void* const block : fill(session, 1000, kMiB)) {
      auto* const number = static_cast<std::uint64_t*>(block);
      *number = kept.size();
      kept.push_back(number);
    }
    for (int i = 0; i < 1000 && kept.size() > 3000; ++i) {
      ASSERT_EQ(*kept.back(), kept.size() - 1);
      EXPECT_EQ(session.free(kept.back()), Errc::kOk);
      kept.pop_back();
    }
    EXPECT_EQ(session.free(session.allocate(3 * kMiB)), Errc::kOk);
  }
  for (std::size_t i = 0; i < kept.size(); ++i) ASSERT_EQ(*kept[i], i);
  EXPECT_EQ(check().violations, 0U);
}

TEST_F(BackgroundTrim, EndsWithItsSessionAndIsNotInAForkedChild) {
  for (int round = 0; round < 20; ++round) {
    Session session = connect_trimming(milliseconds(1));
    EXPECT_TRUE(session.free_n(fill(session, 64, kMiB)));
    const pid_t child = ::fork();
    if (child == 0) {
      // The inherited session is closed in the child; it may have one of its own.
      const bool is_forked = session.free(&session) == Errc::kForked;
      session.close();
      Session own = connect_trimming(milliseconds(1));
      void* const block = own.allocate(64);
      ::_exit(is_forked && own.free(block) == Errc::kOk ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    session.close();
  }
  await_granted(0);
}

TEST_F(BackgroundTrim, ANegativePeriodIsRefused) {
  ConnectOptions wrong = options();
  wrong.trim_every = milliseconds(-1);
  EXPECT_TRUE(test::refused(Session::connect(wrong), Errc::kBadArgument));
}

}  // namespace
}  // namespace allot
