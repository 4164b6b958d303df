// The machine has no memory for a grant, at each moment of each call: the call is refused by name,
// everybody else goes on, and so does the region when there is memory again.

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/session.hpp>

#include "tests/support/bystander.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/log_watch.hpp"
#include "tests/support/machine_changes.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/supervised.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr const char* kConfig = "[[region]]\nname = \"default\"\npunch_delay_ms = 1\n";

/// A call that needs memory, and gives all back if it gets any.
using Call = std::function<Expected<void>(Session&)>;

Expected<void> allocate(Session& session, std::size_t size_bytes) {
  void* const block = session.allocate(size_bytes);
  if (block == nullptr) return Session::last_error();
  fill_block(block, size_bytes, 1);
  EXPECT_EQ(session.free(block), Errc::kOk);
  (void)session.trim();
  return {};
}

Expected<void> allocate_in_a_new_thread(Session& session) {
  Expected<void> out;
  std::thread thread([&] { out = allocate(session, 64); });
  thread.join();
  return out;
}

Expected<void> grow_an_arena(Session& session) {
  ArenaOptions options;
  options.source = session;
  options.checks = ArenaChecks::kOff;
  Arena arena = Arena::reserve(64 * kMiB, options);
  if (arena.try_push(3 * kMiB) == nullptr) return Arena::last_error();
  return {};
}

class StressMemory : public testing::TestWithParam<int> {
 protected:
  [[nodiscard]] ChangedMachine& machine() { return machine_; }
  [[nodiscard]] Supervised& allotd() { return allotd_; }
  [[nodiscard]] const DaemonProcess& daemon() const { return allotd_.supervisor; }
  [[nodiscard]] Session connect(std::size_t which) const {
    return connect_again(daemon().client_socket(), which);
  }
  [[nodiscard]] RegionStats stats() const { return stats_of_region(daemon().control_socket()); }
  [[nodiscard]] RegionCheck check() const { return check_region(daemon().control_socket()); }

  /// The commits after the next `spare` fail.
  void end_memory_after(std::int64_t spare) {
    machine_->commit_error = GetParam();
    machine_->commits_left = spare;
  }
  void have_memory() { machine_->commits_left = MachineChanges::kNever; }

  void await_no_data() const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (stats().data_bytes != 0) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  }

 private:
  ChangedMachine machine_;
  Supervised allotd_{
      {.config = kConfig, .environment = machine_.environment(ALLOT_CHANGED_MACHINE_PATH)}};
};
INSTANTIATE_TEST_SUITE_P(Refused, StressMemory, testing::Values(ENOSPC, ENOMEM),
                         [](const auto& one) { return one.param == ENOSPC ? "Nospc" : "Nomem"; });

// Two who have what they need hand it to each other.
void expect_hand_over(Session& one, Session& other) {
  static std::uint64_t seed = 0;
  void* const block = one.allocate(300);
  ASSERT_NE(block, nullptr) << Session::last_error().message();
  fill_block(block, 300, ++seed);
  void* const taken = other.adopt(one.offer(block).value()).value();
  EXPECT_TRUE(holds_pattern(taken, 300, seed));
  EXPECT_EQ(other.free(taken), Errc::kOk);
}

TEST_P(StressMemory, ACallIsRefusedAtEachCommitItNeedsAndNobodyElseIs) {
  const Call calls[] = {[](Session& session) { return allocate(session, 64); },
                        [](Session& session) { return allocate(session, 100'000); },
                        [](Session& session) { return allocate(session, 8 * kMiB); },
                        allocate_in_a_new_thread, grow_an_arena};
  int states = 0;
  {
    Session one = connect(0);
    Session other = connect(1);
    HeapOracle kept(one);
    for (int i = 0; i < 100; ++i) ASSERT_NE(kept.allocate(300), nullptr);
    expect_hand_over(one, other);
    for (const Call& call : calls) {
      Session victim = connect(2);
      (void)one.trim();
      const std::uint64_t granted = stats().granted_bytes;
      bool is_short = true;
      for (std::int64_t spare = 0; is_short; ++spare, ++states) {
        const std::uint64_t failures = machine()->failures;
        end_memory_after(spare);
        const Expected<void> result = call(victim);
        is_short = machine()->failures != failures;
        EXPECT_FALSE(spare == 0 && result) << "it had nothing to take this from";
        if (!result) {
          EXPECT_TRUE(refused(result, Errc::kMachineFull));
          const std::string& detail = result.error().detail;  // an arena says no more than the Errc
          EXPECT_TRUE(detail.empty() || detail.find(std::strerror(GetParam())) != detail.npos)
              << detail;
        }
        expect_hand_over(one, other);
        have_memory();
        (void)victim.trim();
        EXPECT_EQ(stats().granted_bytes, granted) << spare;
      }
      EXPECT_TRUE(call(victim)) << "there is memory again";
      const RegionCheck found = check();
      EXPECT_TRUE(found.is_clean) << found.text;
      EXPECT_EQ(found.live_blocks, 100U);
      victim.close();
    }
    kept.check();
    kept.free_all();
    for (Session* const session : {&one, &other}) session->close();
  }
  EXPECT_GT(states, 20);
  RecordProperty("states", states);
  expect_nobody_and_nothing(daemon().control_socket());
  await_no_data();
}

TEST_P(StressMemory, ADaemonThatFindsNoMemoryAtItsStartTriesAgain) {
  Session one = connect(0);
  Session other = connect(1);
  expect_hand_over(one, other);
  const LogWatch log(daemon());
  end_memory_after(0);
  ASSERT_EQ(::kill(allotd().daemon(), SIGKILL), 0);
  log.await("ended with status 1");
  EXPECT_THAT(daemon().log(), HasSubstr(std::strerror(GetParam())));
  have_memory();
  expect_hand_over(one, other);
  EXPECT_TRUE(allocate(one, 8 * kMiB)) << "of the next daemon";
  for (Session* const session : {&one, &other}) session->close();
  expect_nobody_and_nothing(daemon().control_socket());
  await_no_data();
}

TEST_P(StressMemory, WhatCannotBeGivenBackIsTriedAgain) {
  const LogWatch log(daemon());
  Session session = connect(0);
  machine()->punch_error = GetParam();
  ASSERT_TRUE(allocate(session, 20 * kMiB));
  log.await("punch hole");
  EXPECT_EQ(stats().granted_bytes, 0U);
  EXPECT_GE(stats().data_bytes, 20 * kMiB);
  machine()->punch_error = 0;
  await_no_data();
}

}  // namespace
}  // namespace allot::test
