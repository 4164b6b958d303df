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
  int rounds = 9;                       // repetitions
  std::chrono::milliseconds round{30};  // least time of a measured loop in a round
  std::chrono::milliseconds idle_window{30'000};
};

struct Family {
  std::string_view name;
  std::string_view summary;
  std::vector<Measurement> (*measure)(const Effort& effort);
};

[[nodiscard]] std::vector<Measurement> measure_pair(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_two_processes(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_arena(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_fit(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_recovery(const Effort& effort);
[[nodiscard]] std::vector<Measurement> measure_idle(const Effort& effort);

inline constexpr std::array kFamilies = {
    Family{"pair", "allocate, write a byte, free; beside private mallocs and Boost.Interprocess",
           measure_pair},
    Family{"two-processes", "the same in two processes at once, one on each processor",
           measure_two_processes},
    Family{"arena", "push, growth, scopes and VlArray; beside a bump, std::pmr, Boost and protobuf",
           measure_arena},
    Family{"fit",
           "FitHeap with 10,000 live blocks of mixed sizes; beside rbtree_best_fit and malloc",
           measure_fit},
    Family{"recovery", "how long a killed process's memory is away", measure_recovery},
    Family{"idle", "what a daemon without sessions costs", measure_idle},
};

}  // namespace allot::bench
