// The heap of two sessions against an oracle, over random histories.
//
// A failure prints its seed; ALLOT_TEST_SEED=<seed> runs that one alone.

#include "tests/support/heap_simulation.hpp"

#include <cstdint>

#include <gtest/gtest.h>

#include "tests/support/seed.hpp"

namespace allot::test {
namespace {

TEST(HeapSimulation, AgreesWithTheOracleAndDrainsToNothing) {
  HeapSimulation::Counts counts;
  const SeedRange range = seeds(20);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const SeedScope scope(__FILE__, __LINE__, seed);
    HeapSimulation simulation(seed, counts);
    simulation.run(50);
    if (!HasFailure()) simulation.refill();
    if (!HasFailure()) simulation.reuse();
    if (!HasFailure()) simulation.recede();
    if (!HasFailure()) simulation.press();
    if (!HasFailure()) simulation.inherit();
    if (!HasFailure()) simulation.drain();
    if (HasFailure()) break;
  }
  for (const auto& [event, count] : counts) RecordProperty(event, static_cast<int>(count));
  if (range.count < 20 || HasFailure()) return;
  // A simulation that never gets there says nothing.
  for (const char* const event :
       {"address again", "aligned", "allocated", "batch", "hand over", "hand over by the batch",
        "inherited", "misuse", "moved", "refused", "stint in another thread", "trimmed"}) {
    EXPECT_GT(counts[event], 0U) << event;
  }
}

}  // namespace
}  // namespace allot::test
