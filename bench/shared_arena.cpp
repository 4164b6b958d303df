// A shared arena under two processes at once, beside two arenas of their own.

#include <iostream>

#include "bench/arena_families.hpp"
#include "bench/contender.hpp"
#include "bench/daemon.hpp"
#include "bench/processors.hpp"

namespace allot::bench {

namespace {

constexpr std::uint64_t kPushes = 10'000'000;
constexpr std::uint64_t kQuickPushes = 100'000;

// Of two processes that run at once, one on each processor: the mean.
double run_together(const std::string& loop, std::uint64_t pushes, std::size_t size_bytes,
                    const std::vector<int>& processors, const std::string& environment,
                    const Effort& effort) {
  Contender a({loop, processors[0], pushes}, environment);
  Contender b({loop, processors[1], pushes}, environment);
  for (Contender* const one : {&a, &b}) {
    one->prepare(size_bytes, effort.round);
    one->start();
  }
  const double a_ns = a.finish();
  return (a_ns + b.finish()) / 2;
}

}  // namespace

void measure_shared_pushes(const Effort& effort, std::vector<Measurement>& measurements) {
  const std::vector<int> processors = usable_processors();
  if (processors.size() < 2) {
    std::cerr << "allot_bench: arena: a shared push needs two processors, and is left out\n";
    return;
  }
  const std::uint64_t pushes = effort.quick ? kQuickPushes : kPushes;
  for (const std::size_t size_bytes : {16UL, 64UL}) {
    Sample shared;
    Sample own;
    for (int round = 0; round < effort.rounds; ++round) {
      const Daemon daemon;  // a new one, for an arena that is empty
      const std::string environment = daemon.environment();
      shared.add(run_together("push-shared", pushes, size_bytes, processors, environment, effort));
      own.add(run_together("push-arena", pushes, size_bytes, processors, environment, effort));
    }
    measurements.push_back({"arena",
                            "shared push " + std::to_string(size_bytes) + " B by two processes",
                            "ns",
                            shared,
                            {{"two arenas of their own", own}},
                            {}});
  }
}

}  // namespace allot::bench
