// Spans that a session gave back while the daemon was stopped: what it has sent is the daemon's,
// what it has not sent stays in its reserve.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/region/layout.hpp"
#include "tests/support/daemon_with_deadline.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/raw_session.hpp"

namespace allot {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kSpanBytes = std::size_t{64} << 10;

class LateReturns : public test::DaemonWithDeadline {
 protected:
  LateReturns()
      : DaemonWithDeadline("[[region]]\nname = \"default\"\nlarge_reclaim_delay_ms = 0\n") {}

  /// A second session of this process, as if of another one.
  [[nodiscard]] Session connect_another() {
    ConnectOptions other = options(test::kPatience);
    other.socket_path = daemon().runtime_dir() / "." / "client.sock";
    return Session::connect(other).value();
  }

  /// `owner` has `count` large spans whose blocks `freer` freed and the daemon took.
  void free_by(Session& freer, Session& owner, std::size_t count) {
    std::vector<Handle> handles;
    for (std::size_t i = 0; i < count; ++i) {
      handles.push_back(owner.offer(owner.allocate(2 * kMiB)).value());
    }
    for (const Handle handle : handles) {
      EXPECT_EQ(freer.free(freer.adopt(handle).value()), Errc::kOk);
    }
    test::RawSession observer(daemon().client_socket());
    const auto is_taken = [&](Handle handle) {
      const auto offset = region::FileLayout{observer.welcome.granules}.words_offset() +
                          handle.offset_bytes() / region::kGranuleBytes * region::kWordsPerGranule *
                              sizeof(std::uint32_t);
      std::uint32_t word = 0;
      const auto size =
          ::pread(observer.ledger.get(), &word, sizeof(word), static_cast<off_t>(offset));
      return size == sizeof(word) && detail::OwnWord::owner(word) == detail::OwnWord::kTaken;
    };
    test::ask_until(observer.client, "the daemon takes large blocks that others freed",
                    [&] { return std::all_of(handles.begin(), handles.end(), is_taken); });
  }

  /// Expects that both sessions can hold three blocks of `size_bytes` and none is another's.
  void expect_apart(Session& first, Session& second, std::size_t size_bytes) {
    std::vector<void*> blocks;
    for (int i = 0; i < 3; ++i) {
      blocks.push_back(first.allocate(size_bytes));
      blocks.push_back(second.allocate(size_bytes));
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      ASSERT_NE(blocks[i], nullptr) << Session::last_error().message();
      std::memcpy(blocks[i], &i, sizeof(i));
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ(std::memcmp(blocks[i], &i, sizeof(i)), 0) << "block " << i << " is another's too";
    }
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.live_blocks, blocks.size());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      EXPECT_EQ((i % 2 == 0 ? first : second).free(blocks[i]), Errc::kOk) << i;
    }
  }
};

TEST_F(LateReturns, ALargeSpanTrimmedTooLateIsNotUsedAgain) {
  Session session = connect();
  Session other = connect_another();
  EXPECT_EQ(session.free(session.allocate(2 * kMiB)), Errc::kOk);
  daemon().signal(SIGSTOP);
  EXPECT_EQ(session.trim(), 0U);
  resume(session);
  EXPECT_EQ(check().granted_bytes, 0U) << "the daemon did take it back";
  expect_apart(other, session, 2 * kMiB);
}

TEST_F(LateReturns, ALargeSpanTooManyForTheCacheIsNotUsedAgain) {
  constexpr std::size_t kHalfACache = 40 * kMiB;
  Session session = connect();
  Session other = connect_another();
  void* const first = session.allocate(kHalfACache);
  void* const second = session.allocate(kHalfACache);
  ASSERT_TRUE(first != nullptr && second != nullptr);
  EXPECT_EQ(session.free(first), Errc::kOk);
  daemon().signal(SIGSTOP);
  EXPECT_EQ(session.free(second), Errc::kOk);
  resume(session);
  EXPECT_EQ(check().granted_bytes, kHalfACache) << "the daemon did take it back";
  expect_apart(other, session, kHalfACache);
}

TEST_F(LateReturns, ALargeSpanThatTheDaemonTookIsNotUsedAgain) {
  Session session = connect();
  Session other = connect_another();
  free_by(other, session, 1);
  daemon().signal(SIGSTOP);
  EXPECT_EQ(session.allocate(2 * kMiB), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline);
  resume(session);
  // What was asked for came too late as well, or was never asked for.
  (void)session.trim();
  EXPECT_EQ(check().granted_bytes, 0U);
  expect_apart(other, session, 2 * kMiB);
  // The other's word, free in the other's cache, is no word of ours.
  (void)session.trim();
  expect_apart(session, other, 2 * kMiB);
}

TEST_F(LateReturns, TheFirstLateReturnIsTheLast) {
  Session session = connect();
  test::HeapOracle oracle(session);
  // A block in the second span parts the others: neighbours go back in one message.
  void* kept = nullptr;
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < 4000; ++i) {
    (i == 1500 ? kept : blocks.emplace_back()) = session.allocate(64);
  }
  EXPECT_TRUE(session.free_n(blocks));
  const auto granted = check().granted_bytes;
  ASSERT_GT(granted, 3 * kSpanBytes);
  daemon().signal(SIGSTOP);
  EXPECT_EQ(session.trim(), 0U);
  resume(session);
  EXPECT_EQ(check().granted_bytes, granted - kSpanBytes) << "one deadline, so one message";
  EXPECT_EQ(session.trim(), granted - 2 * kSpanBytes) << "the others are still in reserve";
  EXPECT_EQ(session.free(kept), Errc::kOk);
  (void)session.trim();
  EXPECT_EQ(check().granted_bytes, 0U);
}

TEST_F(LateReturns, AllocateGivesBackNoMoreThanItsDeadlineAllows) {
  constexpr std::size_t kBlocks = 3;
  Session session = connect();
  Session other = connect_another();
  free_by(other, session, kBlocks);
  daemon().signal(SIGSTOP);
  EXPECT_EQ(session.allocate(2 * kMiB), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline);
  resume(session);
  EXPECT_EQ(check().granted_bytes, (kBlocks - 1) * 2 * kMiB) << "one deadline, so one message";
  (void)session.trim();
  EXPECT_EQ(check().granted_bytes, 0U);
}

TEST_F(LateReturns, ATrimWithoutADaemonKeepsTheReserve) {
  Session session = connect(test::kPatience);
  test::HeapOracle oracle(session);
  for (int i = 0; i < 4000; ++i) (void)oracle.allocate(64);
  oracle.free_all();
  EXPECT_EQ(session.free(session.allocate(2 * kMiB)), Errc::kOk);
  const auto granted = check().granted_bytes - 2 * kMiB;
  daemon().kill();
  EXPECT_EQ(session.trim(), 0U);
  EXPECT_NE(session.allocate(2 * kMiB), nullptr) << "it was cached";
  std::uint64_t blocks = 0;
  while (session.allocate(64) != nullptr) ++blocks;
  EXPECT_EQ(Session::last_error().errc(), Errc::kDaemonGone);
  EXPECT_EQ(blocks * 64, granted);
}

}  // namespace
}  // namespace allot
