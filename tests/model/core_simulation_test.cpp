// The daemon's core against an oracle, over thousands of random histories with death anywhere in them.
//
// A failure prints its seed; ALLOT_TEST_SEED=<seed> runs that one alone.

#include "tests/support/core_simulation.hpp"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "tests/support/seed.hpp"
#include "tests/support/store_trace.hpp"

namespace allot::test {
namespace {

constexpr std::uint32_t kSteps = 3000;

TEST(CoreSimulation, AgreesWithTheOracleAndDrainsToNothing) {
  EventCounts counts;
  const SeedRange range = seeds(300);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const SeedScope scope(__FILE__, __LINE__, seed);
    CoreSimulation simulation(seed, &counts);
    simulation.run(kSteps);
    if (!HasFailure()) simulation.drain();
    if (HasFailure()) break;
  }
  for (const auto& [event, count] : counts) RecordProperty(event, static_cast<int>(count));
  if (range.count < 20 || HasFailure()) return;
  // A simulation that never gets there says nothing.
  for (const char* const event : {"adopt",
                                  "adopt lost",
                                  "allocate",
                                  "carve",
                                  "chunks ended",
                                  "chunks unmade",
                                  "claim",
                                  "claim lost",
                                  "claim of a full chunk",
                                  "claim of a rest",
                                  "claim of an open chunk",
                                  "clear",
                                  "clear of what others hold",
                                  "clear refused",
                                  "close",
                                  "collect",
                                  "commit failed",
                                  "detach",
                                  "fill",
                                  "find",
                                  "free",
                                  "free elsewhere",
                                  "free exposed",
                                  "free lost to an adopter",
                                  "garbage",
                                  "granted",
                                  "granted too late",
                                  "grant refused",
                                  "grow",
                                  "grow refused",
                                  "heap",
                                  "hello refused",
                                  "kill between stores",
                                  "kill of one who fills a chunk",
                                  "kill of one who made chunks",
                                  "publish",
                                  "publish of chunks",
                                  "publish refused",
                                  "punch",
                                  "punch of a taken block",
                                  "recovery slice",
                                  "last unpin of a hidden name",
                                  "last words",
                                  "reserve",
                                  "reserve refused",
                                  "restart",
                                  "restart inside a recovery",
                                  "restart with commits to come",
                                  "resume",
                                  "retract",
                                  "return",
                                  "return into a reservation",
                                  "return refused",
                                  "session ended",
                                  "session ended with a reservation",
                                  "unpin",
                                  "unpin refused",
                                  "unpublish",
                                  "unpublish refused",
                                  "unreserve",
                                  "unreserve refused",
                                  "watch"}) {
    EXPECT_GT(counts[event], 0U) << event;
  }
}

// Also inside a recovery, and inside the restart after another kill.
TEST(CoreSimulation, GoesOnWhereverTheDaemonIsKilled) {
  if (!kStoreTraceWorks) GTEST_SKIP() << "single steps: x86-64 without the thread sanitizer";
  EventCounts counts;
  const SeedRange range = seeds(60);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const SeedScope scope(__FILE__, __LINE__, seed);
    CoreSimulation simulation(seed, &counts, 10);
    simulation.run(kSteps / 4);
    if (HasFailure()) break;
  }
  RecordProperty("deaths", static_cast<int>(counts["death of the daemon"]));
  if (range.count < 20) return;
  EXPECT_GT(counts["death of the daemon"], 1000U);
}

}  // namespace
}  // namespace allot::test
