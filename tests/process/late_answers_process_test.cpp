// Answers that came after their caller's deadline: heaps, pins and orphans are neither lost nor kept.

#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/daemon_with_deadline.hpp"
#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using test::refused;

class LateHeap : public test::DaemonWithDeadline {
 protected:
  LateHeap() : DaemonWithDeadline("[[region]]\nname = \"default\"\nmax_heaps = 2\n") {}
};

class LateAnswers : public test::DaemonWithDeadline {
 protected:
  /// Unpublishes `handle` and expects that its block is freed, for nobody pins it.
  void expect_unpinned(Session& session, Handle handle) {
    EXPECT_TRUE(session.unpublish("here", handle).has_value());
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.kept_blocks, 0U);
  }
};

TEST_F(LateHeap, ServesTheNextThreadThatAsks) {
  Session session = connect();  // and a heap of its own
  daemon().signal(SIGSTOP);
  EXPECT_EQ(session.allocate(64), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline);
  resume(session);
  void* const block = session.allocate(64);
  EXPECT_NE(block, nullptr) << "its heap came: " << Session::last_error().message();
  EXPECT_EQ(session.free(block), Errc::kOk);
  EXPECT_EQ(check().live_blocks, 0U);
}

TEST_F(LateAnswers, APinThatEndedTooLateHasEnded) {
  Session session = connect();
  const Handle handle = session.publish("here", session.allocate(64)).value();
  (void)session.find("here").value();
  daemon().signal(SIGSTOP);
  EXPECT_TRUE(refused(session.unpin(handle), Errc::kDeadline));
  resume(session);
  EXPECT_TRUE(session.unpin(handle).has_value()) << "asked again, it is so";
  EXPECT_TRUE(refused(session.unpin(handle), Errc::kNameUnknown));

  (void)session.find("here").value();
  daemon().signal(SIGSTOP);
  EXPECT_TRUE(refused(session.unpin(handle), Errc::kDeadline));
  resume(session);
  // A new pin is one pin, whatever became of the old one.
  (void)session.find("here").value();
  EXPECT_TRUE(session.unpin(handle).has_value());
  EXPECT_TRUE(refused(session.unpin(handle), Errc::kNameUnknown));
  expect_unpinned(session, handle);
}

TEST_F(LateAnswers, AnUnpinThatWasNeverSentCanBeTriedAgain) {
  Session session = connect(test::kPatience);
  const Handle handle = session.publish("here", session.allocate(64)).value();
  // Another session of this process, with less patience.
  ConnectOptions hasty = options();
  hasty.socket_path = daemon().runtime_dir() / "." / "client.sock";
  Session reader = connect_hastily(hasty);
  (void)reader.find("here").value();
  daemon().signal(SIGSTOP);
  // More than the socket holds.
  for (int i = 0; i < 2000; ++i) EXPECT_TRUE(refused(reader.find("nothing"), Errc::kDeadline));
  EXPECT_TRUE(refused(reader.unpin(handle), Errc::kDeadline));
  resume(reader);
  auto unpinned = reader.unpin(handle);
  while (!unpinned && unpinned.error() == Errc::kDeadline) unpinned = reader.unpin(handle);
  EXPECT_TRUE(unpinned.has_value()) << unpinned.error().message();
  expect_unpinned(session, handle);
}

TEST_F(LateAnswers, APinThatCameTooLateEnds) {
  Session session = connect(test::kPatience);
  const Handle handle = session.publish("here", session.allocate(64)).value();
  ConnectOptions other = options();
  other.socket_path = daemon().runtime_dir() / "." / "client.sock";
  Session reader = Session::connect(other).value();
  daemon().signal(SIGSTOP);
  EXPECT_TRUE(refused(reader.find("here"), Errc::kDeadline));
  resume(reader);
  EXPECT_TRUE(refused(reader.find("nothing"), Errc::kNameUnknown));
  expect_unpinned(session, handle);
}

class LateOrphans : public LateAnswers {
 protected:
  LateOrphans() {
    EXPECT_EQ(heir_.free(heir_.allocate(64)), Errc::kOk);  // it has a heap
    {
      Session owner = Session::connect(spelt("././././.")).value();
      kept_ = keeper_.adopt(owner.offer(owner.allocate(1000)).value()).value();
    }
    while (check().orphans == 0) std::this_thread::yield();
    daemon().signal(SIGSTOP);
    EXPECT_EQ(heir_.allocate(1000), nullptr);
    EXPECT_EQ(Session::last_error().errc(), Errc::kDeadline);
    resume(heir_);
  }
  [[nodiscard]] ConnectOptions spelt(const char* how) {
    ConnectOptions out = options(test::kPatience);
    out.socket_path = daemon().runtime_dir() / how / "client.sock";
    return out;
  }
  Session keeper_ = Session::connect(spelt("././.")).value();
  Session heir_ = connect();
  void* kept_ = nullptr;
};

TEST_F(LateOrphans, GoBackWithATrim) {
  EXPECT_EQ(keeper_.free(kept_), Errc::kOk);
  (void)heir_.trim();
  EXPECT_EQ(check().granted_bytes, 0U);
}

// Were it taken for an empty span, its live block would be handed out once more.
TEST_F(LateOrphans, AreAdoptedLater) {
  std::memset(kept_, 0x5A, 1000);
  const std::uint64_t granted = check().granted_bytes;
  std::vector<void*> blocks;
  for (int i = 0; i < 30; ++i) {
    blocks.push_back(heir_.allocate(1000));
    ASSERT_NE(blocks.back(), nullptr) << Session::last_error().message();
    std::memset(blocks.back(), 0, 1000);
  }
  EXPECT_EQ(check().orphans, 0U);
  EXPECT_EQ(check().granted_bytes, granted);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(static_cast<char*>(kept_)[i], 0x5A);
  EXPECT_TRUE(heir_.free_n(blocks));
  EXPECT_EQ(keeper_.free(kept_), Errc::kOk);
}

}  // namespace
}  // namespace allot
