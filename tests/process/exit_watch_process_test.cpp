// Callbacks at other sessions' ends, and the thread that runs them.

#include <pthread.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <deque>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/bystander.hpp"
#include "tests/support/refused_syscall.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::connect_again;
using test::ExitNotice;
using test::require;

// Connects and waits for its end.
ALLOT_TEST_ROLE(is_watched) {
  const Session session = test::connect_as_told(test);
  (void)test.receive_text();
}

class ExitWatching : public test::ServedRegion {};

TEST_F(ExitWatching, OneWhoEndedLongAgoIsTold) {
  Agent agent("is_watched");
  const SessionId id = test::introduce(agent.link(), daemon());
  const ExitNotice first(session(), id);
  agent.process().kill();
  EXPECT_TRUE(first.wait());
  const ExitNotice second(session(), id);
  EXPECT_TRUE(second.wait());
  SessionId never = id;
  never.incarnation += 1000;
  EXPECT_TRUE(ExitNotice(session(), never).wait()) << "nobody will ever come under this id";
  expect_nothing_left();
}

TEST_F(ExitWatching, AllWhoAskedAreTold) {
  Agent agent("is_watched");
  const SessionId id = test::introduce(agent.link(), daemon());
  std::deque<ExitNotice> notices;
  for (int i = 0; i < 20; ++i) notices.emplace_back(session(), id);
  agent->send_text("end");
  EXPECT_TRUE(agent.finish());
  for (const ExitNotice& notice : notices) EXPECT_TRUE(notice.wait());
  expect_nothing_left();
}

TEST_F(ExitWatching, ACallbackMayUseTheSession) {
  Agent agent("is_watched");
  const SessionId id = test::introduce(agent.link(), daemon());
  std::promise<Errc> freed;
  session()
      .on_exit(id,
               [&] {
                 void* const block = session().allocate(200'000);
                 (void)session().on_exit(id, [] {});
                 freed.set_value(session().free(block));
               })
      .value();
  agent.process().kill();
  auto future = freed.get_future();
  ASSERT_EQ(future.wait_for(test::kPatience), std::future_status::ready);
  EXPECT_EQ(future.get(), Errc::kOk);
  expect_nothing_left();
}

TEST_F(ExitWatching, CloseLetsACallbackFinishBeforeItTakesTheSessionApart) {
  constexpr int kManyPairs = 1'000'000;
  Session watching = connect_again(daemon().client_socket(), 1);
  Session watched = connect_again(daemon().client_socket(), 2);
  std::promise<void> called;
  int served = 0;
  watching
      .on_exit(watched.id(),
               [&] {
                 void* block = watching.allocate(64);
                 const Handle handle = watching.handle_of(block).value();
                 (void)watching.free(block);
                 called.set_value();
                 while (watching.resolve(handle).error() != Errc::kClosed) {
                 }
                 // close() has begun. What needs no daemon goes on.
                 for (; served < kManyPairs; ++served) {
                   block = watching.allocate(64);
                   if (block == nullptr || watching.free(block) != Errc::kOk) return;
                 }
               })
      .value();
  watched.close();
  called.get_future().wait();
  watching.close();
  EXPECT_EQ(served, kManyPairs);
}

ALLOT_TEST_ROLE(drops_its_last_handle_in_a_callback) {
  const std::string socket = test.receive_text();
  Session observer = Session::connect(test::options_for(socket)).value();
  auto last = std::make_unique<Session>(connect_again(socket, 1));
  Session watched = connect_again(socket, 2);
  const test::ExitNotice exit(observer, last->id());
  void* const block = last->allocate(100);
  require(block != nullptr, "allocate");
  Session& watching = *last;
  watching
      .on_exit(watched.id(),
               [&last, block] {
                 require(last->free(block) == Errc::kOk, "free");
                 last.reset();
               })
      .value();
  watched.close();
  require(exit.wait(), "its end");
}

TEST_F(ExitWatching, ACallbackMayDropTheLastHandle) {
  Agent agent("drops_its_last_handle_in_a_callback");
  agent->send_text(daemon().client_socket().native());
  EXPECT_TRUE(agent.finish());
}

ALLOT_TEST_ROLE(is_a_callbacks_last_owner) {
  const std::string socket = test.receive_text();
  Session observer = Session::connect(test::options_for(socket)).value();
  std::optional<Session> last = connect_again(socket, 1);
  Session watched = connect_again(socket, 2);
  const test::ExitNotice exit(observer, last->id());
  last->on_exit(watched.id(), [own = *last] {}).value();
  last.reset();
  require(!exit.has_come(), "the callback has a handle");
  watched.close();
  require(exit.wait(), "its end");
}

TEST_F(ExitWatching, ACallbackMayOwnTheLastHandle) {
  Agent agent("is_a_callbacks_last_owner");
  agent->send_text(daemon().client_socket().native());
  EXPECT_TRUE(agent.finish());
}

ALLOT_TEST_ROLE(cannot_make_threads) {
  Session session = test::connect_as_told(test);
  require(test::refuse_syscall(SYS_clone, EAGAIN) && test::refuse_syscall(SYS_clone3, EAGAIN),
          "a filter of system calls");
  std::optional<Errc> refused;
  try {
    const auto watched = session.on_exit(session.id(), [] {});
    refused = watched ? Errc::kOk : watched.error().errc();
  } catch (const std::exception& thrown) {
    test.send_text(thrown.what());
  }
  sigset_t blocked;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  require(::sigismember(&blocked, SIGTERM) == 0, "SIGTERM stays blocked");
  require(refused == Errc::kSystem, "another error than kSystem");
  require(session.free(session.allocate(100)) == Errc::kOk, "the session goes on");
}

TEST_F(ExitWatching, WithoutAThreadItIsAnErrorAndSignalsAreAsBefore) {
  Agent agent("cannot_make_threads");
  (void)test::introduce(agent.link(), daemon());
  EXPECT_TRUE(agent.finish());
}

}  // namespace
}  // namespace allot
