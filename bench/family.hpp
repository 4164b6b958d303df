// Families: groups of measurements that are run together, by name.
//
// One file per family; main.cpp runs those that are asked for, in the order of kFamilies.
#pragma once

#include <array>
#include <chrono>
#include <string_view>
#include <vector>

#include "bench/measurement.hpp"

namespace allot::bench {

struct Effort {
  bool quick = false;                   // to see that it runs, not for figures
  int rounds = 9;                       // repetitions
  std::chrono::milliseconds round{30};  // least time of a measured loop in a round
  std::chrono::milliseconds idle_window{30'000};
};

struct Family {
  std::string_view name;
  std::string_view group;  // by which several can be asked for; "" for none
  std::string_view summary;
  std::vector<Measurement> (*measure)(const Effort& effort);
};

[[nodiscard]] std::vector<Measurement> measure_pair(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_batch(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_churn(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_at_once(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_hand_over(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_shapes(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_growth(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_resident(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_latency(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_arena(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_fit(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_recovery(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_shrink(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_idle(const Effort& effort);

inline constexpr std::array kFamilies = {
    Family{"pair", "heap", "allocate, write a byte, free; one size over and over", measure_pair},
    Family{"batch", "heap", "1,000 objects of mixed sizes, freed in another order", measure_batch},
    Family{"churn", "heap", "100,000 live objects of mixed sizes, one at random replaced",
           measure_churn},
    Family{"at-once", "heap", "pairs in two processes or threads at once, one on each processor",
           measure_at_once},
    Family{"hand-over", "heap", "one side allocates, the other frees; processes and threads",
           measure_hand_over},
    Family{"shapes", "heap", "what public suites do: larson, xmalloc, cache-scratch, sh6, ...",
           measure_shapes},
    Family{"growth", "heap", "1 GiB of fresh memory: time, stall, grants", measure_growth},
    Family{"resident", "heap", "memory in use over live bytes after churn", measure_resident},
    Family{"latency", "heap", "single operations: p50, p99, p99.9, max", measure_latency},
    Family{"arena", "",
           "push, growth, scopes and VlArray; beside a bump, std::pmr, Boost and protobuf",
           measure_arena},
    Family{"fit", "",
           "FitHeap with 10,000 live blocks of mixed sizes; beside rbtree_best_fit and malloc",
           measure_fit},
    Family{"recovery", "", "how long a killed process's memory is away", measure_recovery},
    Family{"shrink", "", "how soon memory that was freed is the machine's again", measure_shrink},
    Family{"idle", "", "what a daemon without sessions costs", measure_idle},
};

}  // namespace allot::bench
