// What one thread waits for in the daemon is not what the others wait for.

#include <chrono>
#include <future>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/platform/seqpacket.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/relay.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using std::chrono::milliseconds;
using test::refused;

template <class T>
bool is_ready(const std::future<T>& future) {
  return future.wait_for(milliseconds(0)) == std::future_status::ready;
}

// A server that takes connections and says nothing.
TEST(Waiting, ConnectGivesUpAtItsOwnDeadlineNotAtAnothers) {
  const test::TemporaryDir directory;
  const auto path = directory.path() / "mute.sock";
  auto listener = platform::listen_seqpacket(path, 0600, 4).value();
  auto patient =
      std::async(std::launch::async, [&] { return Session::connect(test::options_for(path)); });
  // Its Hello is here, so it waits for the answer.
  ASSERT_TRUE(
      platform::wait_readable(listener, std::chrono::steady_clock::now() + test::kPatience));
  ConnectOptions hasty = test::options_for(path);
  hasty.deadline = milliseconds(1);
  EXPECT_TRUE(refused(Session::connect(hasty), Errc::kDeadline));
  EXPECT_FALSE(is_ready(patient)) << "the other waits longer";
  listener.reset();
  EXPECT_FALSE(patient.get().has_value());
}

class WaitingSession : public test::ServedRegion {
 protected:
  test::Relay& relay() { return relay_; }
  Session& slow_session() { return slow_session_; }

 private:
  test::Relay relay_{daemon().client_socket()};
  Session slow_session_ = Session::connect(test::options_for(relay_.socket())).value();
};

TEST_F(WaitingSession, AThreadEndsWhileAnotherWaitsForTheDaemon) {
  std::promise<void> end;
  std::promise<void> has_heap;
  std::thread ending([&] {
    EXPECT_EQ(slow_session().free(slow_session().allocate(64)), Errc::kOk);
    has_heap.set_value();
    end.get_future().wait();
  });
  has_heap.get_future().wait();

  relay().hold();
  auto waiting = std::async(std::launch::async, [&] { return slow_session().find("nothing"); });
  relay().wait_for_held();
  end.set_value();
  ending.join();
  EXPECT_FALSE(is_ready(waiting));
  // And what it left is the next thread's, without the daemon.
  std::thread next([&] { EXPECT_NE(slow_session().allocate(64), nullptr); });
  next.join();
  EXPECT_FALSE(is_ready(waiting));
  relay().release();
  EXPECT_TRUE(refused(waiting.get(), Errc::kNameUnknown));
}

}  // namespace
}  // namespace allot
