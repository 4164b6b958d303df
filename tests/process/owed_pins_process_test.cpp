// Pins whose end came when it could not be sent: they end with the session's next request.

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <utility>

#include <gtest/gtest.h>

#include <allot/shared_arena.hpp>

#include "tests/support/daemon_with_deadline.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/relay.hpp"

namespace allot {
namespace {

using test::refused;

/// Nothing ends before release(): a fork takes the mutexes of the process's sessions, one after the
/// other, and waits for that of a session whose request a relay keeps back.
class HeldSessions {
 public:
  explicit HeldSessions(const test::DaemonProcess& daemon) : relay_(daemon.client_socket()) {}
  /// Has the mutexes of those sessions that were there before this object.
  void hold() {
    relay_.hold();
    waiting_ = std::async(std::launch::async, [this] { return slow_.find("nothing"); });
    relay_.wait_for_held();
    forking_ = std::async(std::launch::async, [] {
      const pid_t child = ::fork();
      if (child == 0) ::_exit(0);
      EXPECT_EQ(::waitpid(child, nullptr, 0), child);
    });
  }
  [[nodiscard]] bool is_holding() const {
    return forking_.wait_for(std::chrono::seconds(0)) == std::future_status::timeout;
  }
  void release() {
    relay_.release();
    forking_.get();
    EXPECT_TRUE(refused(waiting_.get(), Errc::kNameUnknown));
  }

 private:
  test::Relay relay_;
  Session slow_ = Session::connect(test::options_for(relay_.socket())).value();
  std::future<Expected<FoundBlock>> waiting_;
  std::future<void> forking_;
};

class OwedPins : public test::DaemonWithDeadline {
 protected:
  /// The value of `call`, however often its deadline passes.
  template <class Call>
  static auto patiently(Call call) {
    const auto begun = Clock::now();
    auto result = call();
    while (!result && result.error() == Errc::kDeadline && Clock::now() - begun < test::kPatience) {
      result = call();
    }
    return std::move(result.value());
  }
  /// One of each kind of pin, on blocks that only they keep.
  struct Pins {
    Pinned<char> block;
    SharedArena arena;
  };
  [[nodiscard]] static std::unique_ptr<Pins> pin(Session& publisher, Session& reader) {
    const Handle handle = publisher.publish("block", publisher.allocate(64)).value();
    auto made = SharedArena::create(publisher, "arena", {kArenaBytes}).value();
    auto pins = std::make_unique<Pins>(
        Pins{patiently([&] { return reader.find<char>("block"); }),
             patiently([&] { return SharedArena::attach(reader, "arena"); })});
    publisher.unpublish("block", handle).value();
    made.unpublish("arena").value();
    return pins;
  }
  /// From now on `session` is in the hands of another thread, for longer than its deadline.
  static void hold(HeldSessions& held, Session& session) {
    held.hold();
    const auto begun = Clock::now();
    while (session.find("nothing").error() != Errc::kDeadline) {
      ASSERT_LT(Clock::now() - begun, test::kPatience) << "nobody takes the session";
    }
  }
  void expect_kept(std::uint64_t blocks) const {
    const auto found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.kept_blocks, blocks);
  }

 private:
  static constexpr std::uint64_t kArenaBytes = std::uint64_t{1} << 20;
};

TEST_F(OwedPins, EndWhereOthersHeldTheSessionLongerThanItsDeadline) {
  Session session = connect();
  HeldSessions held(daemon());
  auto pins = pin(session, session);
  expect_kept(2);
  hold(held, session);
  pins.reset();
  EXPECT_TRUE(held.is_holding());
  held.release();
  EXPECT_TRUE(refused(session.find("nothing"), Errc::kNameUnknown));
  expect_kept(0);
}

TEST_F(OwedPins, EndWhereTheDaemonReadNothingBeforeTheDeadline) {
  Session session = connect(test::kPatience);
  // Another session of this process, with less patience.
  ConnectOptions hasty = options();
  hasty.socket_path = daemon().runtime_dir() / "." / "client.sock";
  Session reader = connect_hastily(hasty);
  auto pins = pin(session, reader);
  daemon().signal(SIGSTOP);
  // More than the socket holds.
  for (int i = 0; i < 2000; ++i) EXPECT_TRUE(refused(reader.find("nothing"), Errc::kDeadline));
  pins.reset();
  resume(reader);
  // Now there is room to send it, before this.
  resume(reader);
  expect_kept(0);
}

TEST_F(OwedPins, EndOneFindEach) {
  Session session = connect();
  HeldSessions held(daemon());
  const Handle handle = session.publish("block", session.allocate(64)).value();
  auto pinned = std::make_unique<Pinned<char>>(session.find<char>("block").value());
  (void)session.find("block").value();
  hold(held, session);
  pinned.reset();
  held.release();
  EXPECT_TRUE(session.unpublish("block", handle).has_value());
  expect_kept(1);
  EXPECT_TRUE(session.unpin(handle).has_value());
  expect_kept(0);
  EXPECT_TRUE(refused(session.unpin(handle), Errc::kNameUnknown));
}

TEST_F(OwedPins, LetTheArenaBeCleared) {
  Session session = connect();
  HeldSessions held(daemon());
  auto arena = SharedArena::create(session, "arena").value();
  auto another = std::make_unique<SharedArena>(SharedArena::attach(session, "arena").value());
  EXPECT_TRUE(refused(arena.clear(), Errc::kArenaShared));
  hold(held, session);
  another.reset();
  held.release();
  EXPECT_TRUE(arena.clear().has_value());
}

}  // namespace
}  // namespace allot
