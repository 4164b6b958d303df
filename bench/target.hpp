// Target: a claim of README, and the figure that upholds it.
//
// The one table of them; every other line of a report is shown without a target.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "bench/measurement.hpp"

namespace allot::bench {

struct Target {
  enum class Of : std::uint8_t { kRatio, kOurs };

  std::string_view family;
  std::string_view case_name;
  Of of;
  double at_most;
  std::string_view claim;

  /// True if the measurement upholds the claim; false also if it has no ratio to be judged by.
  [[nodiscard]] bool met_by(const Measurement& measurement) const {
    if (of == Of::kOurs) return measurement.ours.median() <= at_most;
    return measurement.ratio().value_or(at_most + 1) <= at_most;
  }
};

inline constexpr std::string_view kPairClaim =
    "allocate and free of small blocks cost at most what the best private malloc takes";
inline constexpr std::string_view kMediumPairClaim =
    "allocate and free of medium blocks cost at most 1.2 times the best private malloc";

inline constexpr std::array kTargets = {
    Target{"pair", "16 B", Target::Of::kRatio, 1.0, kPairClaim},
    Target{"pair", "64 B", Target::Of::kRatio, 1.0, kPairClaim},
    Target{"pair", "256 B", Target::Of::kRatio, 1.0, kPairClaim},
    Target{"pair", "1024 B", Target::Of::kRatio, 1.0, kPairClaim},
    Target{"pair", "8 KiB", Target::Of::kRatio, 1.2, kMediumPairClaim},
    Target{"pair", "64 KiB", Target::Of::kRatio, 1.2, kMediumPairClaim},
    Target{"pair", "64 B, shared memory", Target::Of::kRatio, 1.0 / 30,
           "allocate and free are at least 30 times faster than Boost.Interprocess"},
    Target{"batch", "1,000 of 16 to 1,024 B", Target::Of::kRatio, 1.0,
           "a batch of mixed small objects costs at most what the best private malloc takes"},
    Target{"churn", "100,000 of 16 to 4,096 B", Target::Of::kRatio, 1.15,
           "churn among many live objects costs at most 1.15 of the best private malloc"},
    Target{"at-once", "64 B in two processes", Target::Of::kRatio, 1.1,
           "two processes at once cost at most 1.1 times one, per operation"},
    Target{"at-once", "64 B in two threads", Target::Of::kRatio, 1.1,
           "two threads at once cost at most 1.1 times one, per operation"},
    Target{"hand-over", "64 B between two processes", Target::Of::kRatio, 0.5,
           "made in one process, freed in another: half of the best malloc between two threads"},
    Target{"hand-over", "64 B between two processes, shared memory", Target::Of::kRatio, 1.0 / 40,
           "made in one process, freed in another: 40 times faster than Boost.Interprocess"},
    Target{"growth", "by 4 KiB, 4 KiB in all", Target::Of::kRatio, 1.6,
           "fresh memory costs at most 1.6 of an anonymous page fault, the daemon's part included"},
    Target{"growth", "by 4 KiB, stall for 4 KiB", Target::Of::kRatio, 1.0,
           "a thread waits for fresh memory no longer than for an anonymous page fault"},
    Target{"growth", "by 4 KiB, grants", Target::Of::kOurs, 64,
           "1 GiB of fresh memory takes at most 64 round trips to the daemon"},
    Target{"resident", "after churn", Target::Of::kRatio, 1.0,
           "after churn no more is in use than with the leanest of mimalloc, jemalloc, tcmalloc"},
    Target{"arena", "push 16 B, the floor", Target::Of::kRatio, 1.3,
           "a push costs at most 1.3 of a hand-written add-and-compare bump"},
    Target{"arena", "push 64 B, the floor", Target::Of::kRatio, 1.3,
           "a push costs at most 1.3 of a hand-written add-and-compare bump"},
    Target{"arena", "push 16 B", Target::Of::kRatio, 0.5,
           "a push costs at most half of std::pmr::monotonic_buffer_resource"},
    Target{"arena", "push 64 B", Target::Of::kRatio, 0.5,
           "a push costs at most half of std::pmr::monotonic_buffer_resource"},
    Target{"arena", "push and write 16 B, the floor", Target::Of::kRatio, 1.3,
           "pushing and writing warm memory costs at most 1.3 of a hand-written bump"},
    Target{"arena", "push and write 64 B, the floor", Target::Of::kRatio, 1.3,
           "pushing and writing warm memory costs at most 1.3 of a hand-written bump"},
    Target{"arena", "shared push 16 B by two processes", Target::Of::kRatio, 2.0,
           "a push to a shared arena by two processes at once costs at most two of their own"},
    Target{"arena", "shared push 64 B by two processes", Target::Of::kRatio, 2.0,
           "a push to a shared arena by two processes at once costs at most two of their own"},
    Target{"arena", "first growth, a page", Target::Of::kRatio, 1.0,
           "a new page of a virtual arena costs at most what touching fresh memory costs"},
    Target{"arena", "first growth in a region, a page", Target::Of::kRatio, 1.6,
           "a new page of a virtual arena in a region costs at most 1.6 of touching fresh memory"},
    Target{"arena", "scope begin and end", Target::Of::kRatio, 1.0,
           "a scope costs at most 2 ns or 2 pushes"},
    Target{"arena", "VlArray push_back of 10^8 ints", Target::Of::kRatio, 0.8,
           "appending to a VlArray costs at most 0.8 of std::vector without reserve"},
    Target{"fit", "16 B to 64 KiB", Target::Of::kRatio, 0.5,
           "a FitHeap costs at most half of Boost.Interprocess's rbtree_best_fit"},
    Target{"fit", "16 B to 64 KiB, malloc", Target::Of::kRatio, 2.0,
           "a FitHeap costs at most twice glibc's malloc where sizes are mixed"},
    Target{"recovery", "64 MiB: seal to recovered", Target::Of::kOurs, 10,
           "a killed process's memory is back within 10 ms of its presence file's seal"},
    Target{"shrink", "4 GiB of 4 KiB", Target::Of::kRatio, 1.5,
           "4 GiB that were freed are the machine's again within 1.5 of one hole punch"},
    Target{"shrink", "4 GiB of 1 MiB", Target::Of::kRatio, 1.5,
           "4 GiB that were freed are the machine's again within 1.5 of one hole punch"},
    Target{"idle", "wake-ups", Target::Of::kOurs, 0,
           "a daemon without sessions wakes up for watchdog pings only"},
    Target{"idle", "pages", Target::Of::kOurs, 10,
           "a daemon without sessions holds less than 10 MiB of anonymous and file pages"},
};

/// The target of a measurement; nullptr if it has none.
[[nodiscard]] inline const Target* target_of(const Measurement& measurement) {
  for (const Target& target : kTargets) {
    if (target.family == measurement.family && target.case_name == measurement.case_name) {
      return &target;
    }
  }
  return nullptr;
}

}  // namespace allot::bench
