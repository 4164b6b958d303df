// A daemon that is killed at any of its system calls, or whose call fails, while clients do what they do.
//
// The script: the test, a neighbour and a victim allocate, hand over, publish, find, grow arenas; the victim
// is killed; all goes back. Injected is the first daemon, from its start on, or the second one, that restores
// and recovers after the first was killed at a fixed place. Any other daemon is left alone.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/session.hpp>

#include "tests/support/patient_calls.hpp"
#include "tests/support/refused_syscall.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/supervised.hpp"
#include "tests/support/syscall_injector.hpp"

namespace allot {
namespace {

using test::Agent;
using test::End;
using test::Injection;
using test::Parcel;
using test::require;
using Calls = test::PatientCalls;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMiB = std::size_t{1} << 20;

[[nodiscard]] ArenaOptions of(Session& session) {
  ArenaOptions options;
  options.source = session;
  options.checks = ArenaChecks::kOff;
  return options;
}

void hold_until_killed(test::Link& test, const std::string& socket) {
  Calls calls;
  Session session = calls.connect(socket);
  (void)calls.offer(session, 30);
  calls.publish(session, "last-will", 5000, 40);
  (void)calls.make("find", [&] { return session.find("shared"); });
  Arena arena = Arena::reserve(64 * kMiB, of(session));
  calls.grow(arena, 2 * kMiB, 50);
  test.send_text(" " + calls.refusals);
  test.send(session.id());
  (void)test.receive<int>();
  ::kill(::getpid(), SIGKILL);
}

ALLOT_TEST_ROLE(neighbour_of_a_victim) {
  const std::string socket = test.receive_text();
  const pid_t victim = ::fork();
  if (victim == 0) hold_until_killed(test, socket);
  test::await_kill(test, victim);
  Calls calls;
  Session session = calls.connect(socket);
  test.send(session.id());
  calls.accept(session, test.receive<Parcel>(), 10);
  (void)calls.read(session, "shared", 64, 1);
  test.send(calls.offer(session, 20));
  (void)test.receive<int>();
  test.send_text(" " + calls.refusals);
  session.close();
}

// Where something is injected: into which run of the script, and what.
struct Place {
  Injection injection;
  bool on_old_kernel = false;
};

// One run of the script.
class Script {
 public:
  explicit Script(const Place& place)
      : injection_(place.injection),
        on_old_kernel_(place.on_old_kernel),
        injector_(place.injection) {}

  void play() {
    allotd_.emplace(test::DaemonProcess::Options{.before_exec = [this] {
      injector_.trace_this_process();
      if (on_old_kernel_ && !test::refuse_what_older_kernels_lack()) ::_exit(126);
    }});
    try {
      play_script();
      injector_.arm(false);
      was_made_in_script_ = injector_.was_made();
      expect_nothing_left();
      session_->close();
      session_.reset();
      injector_.arm(true);
      expect_clean_end();
    } catch (const std::exception& failure) {
      ADD_FAILURE() << failure.what();
      allotd_->supervisor.kill();
    }
  }

  [[nodiscard]] const test::SyscallInjector& injector() const { return injector_; }
  [[nodiscard]] const std::string& refusals() const { return calls_.refusals; }
  /// And not while all was ended.
  [[nodiscard]] bool was_made_in_script() const { return was_made_in_script_; }
  /// Daemons that there were because of the injection.
  [[nodiscard]] unsigned other_daemons() const {
    return injector_.generations() - injection_.generation;
  }

 private:
  [[nodiscard]] std::filesystem::path control() const {
    return allotd_->supervisor.control_socket();
  }

  void play_script() {
    const std::string socket = allotd_->supervisor.client_socket().native();
    session_ = calls_.connect(socket);
    Session& session = *session_;
    calls_.publish(session, "shared", 64, 1);
    Agent agent("neighbour_of_a_victim");
    agent->send_text(socket);
    calls_.refusals += agent->receive_text().substr(1);
    const End of_victim(calls_, session, agent->receive<SessionId>());
    if (injection_.generation == 2) ::kill(allotd_->daemon(), SIGKILL);
    agent->send(0);
    (void)agent->receive<pid_t>();
    const End of_neighbour(calls_, session, agent->receive<SessionId>());
    agent->send(calls_.offer(session, 10));
    Arena arena = Arena::reserve(64 * kMiB, of(session));
    for (std::uint64_t i = 0; i < 4; ++i) calls_.grow(arena, 3 * kMiB, i);
    calls_.accept(session, agent->receive<Parcel>(), 20);
    require(of_victim.wait(), "nobody says that the victim has ended");
    unpublish("last-will", 5000, 40);
    (void)ask_check();
    agent->send(0);
    calls_.refusals += agent->receive_text().substr(1);
    require(agent.finish(), "the neighbour has failed");
    require(of_neighbour.wait(), "nobody says that the neighbour has ended");
    unpublish("shared", 64, 1);
    arena = Arena();
    (void)session.trim();
  }

  void unpublish(const char* name, std::size_t size, std::uint64_t seed) {
    const Handle handle = calls_.read(*session_, name, size, seed);
    calls_.make("unpublish", [&] { return session_->unpublish(name, handle); });
  }

  // A tool's connection may end with the daemon that answers it.
  [[nodiscard]] test::RegionCheck ask_check() const {
    for (int left = 2;; --left) {
      try {
        return test::check_region(control());
      } catch (const std::runtime_error&) {
        if (left == 0) throw;
      }
    }
  }

  void expect_nothing_left() {
    const auto deadline = Clock::now() + test::kPatience;
    test::RegionCheck found = test::check_region(control());
    EXPECT_TRUE(found.is_clean) << found.text;
    // The daemon sweeps up what the dead had a moment after their end.
    while ((found.live_blocks != 0 || found.granted_bytes != 0) && Clock::now() < deadline) {
      (void)session_->trim();
      found = test::check_region(control());
    }
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.live_blocks, 0U) << found.text;
    EXPECT_EQ(found.granted_bytes, 0U) << found.text;
    const test::RegionStats stats = test::stats_of_region(control());
    EXPECT_EQ(stats.sessions, 1U);
    EXPECT_EQ(stats.names, 0U);
    EXPECT_EQ(stats.orphans, 0U);
    EXPECT_EQ(stats.reservation_bytes, 0U);
  }

  void expect_clean_end() {
    allotd_->supervisor.signal(SIGTERM);
    const int status = allotd_->supervisor.wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  }

  Injection injection_;
  bool on_old_kernel_;
  test::SyscallInjector injector_;
  std::optional<test::Supervised> allotd_;
  std::optional<Session> session_;
  Calls calls_;
  bool was_made_in_script_ = false;
};

class DaemonSyscall : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::SyscallInjector::kWorks) GTEST_SKIP() << "system calls are traced on x86-64 only";
  }

  // Each place of these kinds, by what a run without an injection counts.
  [[nodiscard]] static std::vector<Place> all_places(const std::vector<int>& errors) {
    std::vector<Place> places;
    for (const unsigned generation : {1U, 2U}) {
      for (const bool on_old_kernel : {false, true}) {
        Script script({{generation, 0, 0}, on_old_kernel});
        script.play();
        EXPECT_EQ(script.refusals(), "");
        for (const int error : errors) {
          const std::uint64_t count = script.injector().counted(error);
          EXPECT_GT(count, 0U) << error;
          for (std::uint64_t at = 1; at <= count; ++at) {
            places.push_back({{generation, at, error}, on_old_kernel});
          }
        }
      }
    }
    return places;
  }

  // Calls `check` with what came of `count` places, spread over all, or of all of them.
  template <class Check>
  void for_each_place(const std::vector<int>& errors, std::uint64_t count, const char* property,
                      const Check& check) {
    const std::vector<Place> places = all_places(errors);
    ASSERT_FALSE(HasFailure()) << "without an injection";
    auto range = test::seeds(count);
    if (std::getenv("ALLOT_TEST_EVERY_STATE") != nullptr) range.count = places.size();
    constexpr std::uint64_t kStride = 7919;  // a prime: so many seeds as places are all of them
    int made = 0;
    for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
      const test::SeedScope scope(__FILE__, __LINE__, seed);
      Script script(places[seed * kStride % places.size()]);
      check(script);
      made += script.injector().was_made() ? 1 : 0;
      ASSERT_FALSE(HasFailure()) << script.injector().what();
    }
    EXPECT_TRUE(made > 0 || range.count == 1);
    RecordProperty(property, made);
    RecordProperty("places", static_cast<int>(places.size()));
  }
};

TEST_F(DaemonSyscall, NobodySeesADaemonKilledAtAnyCall) {
  for_each_place({0}, 20, "daemon_kills_at_syscalls", [](Script& script) {
    script.play();
    EXPECT_EQ(script.refusals(), "");
    EXPECT_EQ(script.other_daemons(), script.was_made_in_script() ? 1U : 0U);
  });
}

TEST_F(DaemonSyscall, NobodySeesACallThatIsInterrupted) {
  for_each_place({EINTR}, 12, "daemon_syscalls_failed", [](Script& script) {
    script.play();
    EXPECT_EQ(script.refusals(), "");
    EXPECT_EQ(script.other_daemons(), 0U);
  });
}

// It is refused to the one who needs it, or another daemon does it.
TEST_F(DaemonSyscall, ACallThatFailsHarmsNobodyElse) {
  for_each_place({ENOMEM, EMFILE, ENOSPC}, 24, "daemon_syscalls_failed", [](Script& script) {
    try {
      script.play();
      EXPECT_LE(std::count(script.refusals().begin(), script.refusals().end(), '\n'), 1)
          << script.refusals();
      EXPECT_LE(script.other_daemons(), 1U);
    } catch (const test::EndedEarly& end) {
      // The first daemon could not begin: the supervisor says so by its status, the daemon says why.
      EXPECT_TRUE(script.injector().was_made());
      EXPECT_TRUE(WIFEXITED(end.status) && WEXITSTATUS(end.status) != 0) << end.status;
      EXPECT_GE(std::count(end.log.begin(), end.log.end(), '\n'), 2) << end.log;
    }
  });
}

}  // namespace
}  // namespace allot
