// A session belongs to one process image: not to a forked child, and not to what exec() puts there.

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/embedded.hpp>
#include <allot/fast.hpp>
#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::ExitNotice;
using test::require;

template <class T>
void require_error(const Expected<T>& result, Errc wanted, const std::string& what) {
  require(!result && result.error() == wanted,
          what + (result ? ": no error" : ": " + result.error().message()));
}

// Runs `body` in a forked child; throws if it throws there, or dies.
void in_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      body();
    } catch (const std::exception& failure) {
      const std::string text = std::string("in the child: ") + failure.what() + "\n";
      (void)!::write(STDERR_FILENO, text.data(), text.size());
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  require(!WIFSIGNALED(status), "the child died of signal " + std::to_string(WTERMSIG(status)));
  require(WEXITSTATUS(status) == 0, "the child failed");
}

void require_forked(Session& session, void* block, Handle handle) {
  for (const std::size_t size : {10U, 20'000U, 1'000'000U}) {
    require(session.allocate(size) == nullptr, "it allocates");
    require(Session::last_error() == Errc::kForked, Session::last_error().message());
    require(fast::allocate(session, size) == nullptr, "it allocates inline");
  }
  require(session.free(block) == Errc::kForked, "it frees");
  require(fast::free(session, block) == Errc::kForked, "it frees inline");
  require(session.free(nullptr) == Errc::kOk, "free(nullptr)");
  require(session.usable_size(block) == 0, "usable_size");
  require(session.trim() == 0, "trim");
  require(session.offers().empty(), "offers");
  require_error(session.handle_of(block), Errc::kForked, "handle_of");
  require_error(session.offer(block), Errc::kForked, "offer");
  require_error(session.resolve(handle), Errc::kForked, "resolve");
  require_error(session.adopt(handle), Errc::kForked, "adopt");
  require_error(session.retract(handle), Errc::kForked, "retract");
  require_error(session.publish("name", block), Errc::kForked, "publish");
  require_error(session.find("name"), Errc::kForked, "find");
  require_error(session.unpin(handle), Errc::kForked, "unpin");
  require_error(session.unpublish("name", handle), Errc::kForked, "unpublish");
  require_error(session.on_exit(session.id(), [] {}), Errc::kForked, "on_exit");
}

ALLOT_TEST_ROLE(forks) {
  const std::string socket = test.receive_text();
  Session session = Session::connect(test::options_for(socket)).value();
  test.send(session.id());
  // A watch too, so that there is a thread that the child will not have.
  session.on_exit(test.receive<SessionId>(), [] {}).value();
  void* const block = session.allocate(1000);
  test::fill_block(block, 1000, 1);
  const Handle handle = session.offer(block).value();
  {
    auto owned = session.make<int>(5);
    auto pinned_by = session.make<int>(6);
    const Handle published = pinned_by.publish("forked/" + std::to_string(::getpid())).value();
    in_child([&] {
      require_forked(session, block, handle);
      owned.reset();
      Session copy = session;
      copy.close();
      require_forked(session, block, handle);
      // The child is a client of its own.
      Session own = Session::connect(test::options_for(socket)).value();
      require(!(own == session) && !(own.id() == session.id()), "the parent's session");
      void* const adopted = own.adopt(handle).value();
      require(test::holds_pattern(adopted, 1000, 1), "other contents");
      require(own.free(adopted) == Errc::kOk, "free of what it adopted");
      test::HeapOracle oracle(own);
      for (std::size_t size = 1; size < 100'000; size *= 2) (void)oracle.allocate(size);
      oracle.check();
      oracle.free_all();
      require_forked(session, block, handle);
      // And so is the child's child.
      in_child([&] {
        require_error(own.handle_of(adopted), Errc::kForked, "grandchild");
        Session third = Session::connect(test::options_for(socket)).value();
        require(third.free(third.allocate(100)) == Errc::kOk, "grandchild's own");
      });
      require(own.free(own.allocate(100)) == Errc::kOk, "after its own fork");
    });
    require(*owned == 5, "the parent's object");
    session.unpublish("forked/" + std::to_string(::getpid()), published).value();
  }
  require_error(session.resolve(handle), Errc::kStaleHandle, "the child freed it");
  test::HeapOracle oracle(session);
  for (std::size_t size = 1; size < 1'000'000; size *= 2) (void)oracle.allocate(size);
  oracle.check();
  oracle.free_all();
  test.send_text("done");
  (void)test.receive_text();
}

class ForkExec : public test::ServedRegion {};

TEST_F(ForkExec, AForkedChildHasNoSessionAndTheParentKeepsItsOwn) {
  Agent agent("forks");
  agent->send_text(daemon().client_socket().native());
  const auto id = agent->receive<SessionId>();
  const ExitNotice exit(session(), id);
  agent->send(session().id());
  EXPECT_EQ(agent->receive_text(), "done");
  EXPECT_FALSE(exit.has_come()) << "children that end do not end their parent's session";
  expect_live(0);
  agent->send_text("end");
  EXPECT_TRUE(agent.finish());
  EXPECT_TRUE(exit.wait());
  expect_nothing_left();
}

// Each child forks the next, `left` times, and is a client too. `kept` keeps what it inherits.
void connect_and_fork(const ConnectOptions& options, int left, std::vector<Session>* kept) {
  auto session = Session::connect(options);
  if (kept != nullptr && !session) {
    require_error(session, Errc::kTooManySessions, "connect");
    require(session.error().detail.find("from before a fork") != std::string::npos,
            session.error().message());
    return;
  }
  require(session.has_value(), session ? std::string() : session.error().message());
  require(session->free(session->allocate(100)) == Errc::kOk, "free");
  require(left > 0 || kept == nullptr, "all inherited sessions have room");
  if (left == 0) return;
  if (kept != nullptr) kept->push_back(*session);
  in_child([&, dropped = std::optional<Session>(std::move(*session))]() mutable {
    dropped.reset();
    connect_and_fork(options, left - 1, kept);
  });
}

ALLOT_TEST_ROLE(forks_in_a_chain) {
  const ConnectOptions options = test::options_for(test.receive_text());
  connect_and_fork(options, 20, nullptr);
  std::vector<Session> kept;
  connect_and_fork(options, 20, &kept);
}

TEST_F(ForkExec, AChainOfForksIsAsLongAsItLikesIfEachDropsWhatItInherits) {
  Agent agent("forks_in_a_chain");
  agent->send_text(daemon().client_socket().native());
  EXPECT_TRUE(agent.finish());
}

// Forks while other threads allocate, free and ask the daemon.
ALLOT_TEST_ROLE(forks_with_threads) {
  Session session = test::connect_as_told(test);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        for (const std::size_t size : {64U, 80'000U, 100U}) {
          require(session.free(session.allocate(size)) == Errc::kOk, "free");
        }
        (void)session.trim();
      }
    });
  }
  for (int i = 0; i < 50; ++i) {
    in_child([&] {
      require(session.allocate(64) == nullptr, "it allocates");
      require(session.allocate(1 << 20) == nullptr, "it allocates");
      require(session.trim() == 0, "trim");
    });
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
}

TEST_F(ForkExec, ForkBesideBusyThreadsLocksNobodyOut) {
  Agent agent("forks_with_threads");
  const ExitNotice exit(session(), test::introduce(agent.link(), daemon()));
  EXPECT_TRUE(agent.finish());
  EXPECT_TRUE(exit.wait());
  expect_nothing_left();
}

ALLOT_TEST_ROLE(forks_embedded) {
  auto region = EmbeddedRegion::create({std::uint64_t{1} << 30, std::uint64_t{1} << 28}).value();
  Session session = region.connect().value();
  auto owned = session.make<int>(5);
  void* const block = session.allocate(1000);
  const Handle handle = session.handle_of(block).value();
  in_child([&] {
    require_forked(session, block, handle);
    require_error(region.connect(), Errc::kForked, "connect");
    require(region.audit().granted_bytes == 0, "audit");
    // The destructors of everything that was inherited do nothing, down to the last handle.
    { const Owned<int> dropped = std::move(owned); }
    { const Session last = std::move(session); }
    { const EmbeddedRegion gone = std::move(region); }
  });
  require(*owned == 5, "the parent's object");
  require(session.free(block) == Errc::kOk, "the parent's block");
  owned.reset();
  require(region.audit().live_blocks == 0, "live blocks");
  require(region.audit().violations == 0, "violations");
}

TEST_F(ForkExec, AForkedChildDoesNotTouchAnEmbeddedRegion) {
  Agent agent("forks_embedded");
  EXPECT_TRUE(agent.finish());
}

// Becomes another program: this one in another role.
ALLOT_TEST_ROLE(execs) {
  Session session = test::connect_as_told(test);
  void* const block = session.allocate(100'000);
  test.send(session.offer(block).value());
  (void)test.receive_text();
  ::fcntl(test.socket().get(), F_SETFD, 0);
  ::setenv("ALLOT_TEST_ROLE", "was_execed", 1);
  ::execl("/proc/self/exe", "/proc/self/exe", "--gtest_brief=1", nullptr);
  require(false, "exec");
}

ALLOT_TEST_ROLE(was_execed) {
  test.send(::getpid());
  Session session = test::connect_as_told(test);
  require(session.free(session.allocate(100)) == Errc::kOk, "its own");
  (void)test.receive_text();
}

TEST_F(ForkExec, ExecEndsTheSessionThoughTheProcessLivesOn) {
  Agent agent("execs");
  const SessionId id = test::introduce(agent.link(), daemon());
  const ExitNotice exit(session(), id);
  const auto handle = agent->receive<Handle>();
  EXPECT_TRUE(session().resolve(handle).has_value());
  EXPECT_FALSE(exit.has_come());
  agent->send_text("exec");
  EXPECT_EQ(agent->receive<pid_t>(), agent.pid()) << "the same process";
  EXPECT_TRUE(exit.wait());
  EXPECT_EQ(session().adopt(handle).error().errc(), Errc::kStaleHandle);
  const SessionId next = test::introduce(agent.link(), daemon());
  EXPECT_NE(next.incarnation, id.incarnation);
  const ExitNotice next_exit(session(), next);
  agent->send_text("end");
  EXPECT_TRUE(agent.finish());
  EXPECT_TRUE(next_exit.wait());
  expect_nothing_left();
}

}  // namespace
}  // namespace allot
