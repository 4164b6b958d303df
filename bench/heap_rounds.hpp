// Rounds of heaps that take turns: a new process for each contender in each round.
//
// The lists of contenders are here, and how their samples become lines of the report: all but ours
// and those beside it are peers.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/daemon.hpp"
#include "bench/family.hpp"
#include "bench/heap_program.hpp"
#include "bench/measurement.hpp"

namespace allot::bench {

inline constexpr const char* kOurs = "ours";
inline constexpr const char* kInlined = "inlined";
inline constexpr const char* kBestFit = "boost best-fit";
inline constexpr const char* kSequentialFit = "boost seq-fit";

/// malloc as glibc, mimalloc, jemalloc and tcmalloc have it, as Debian packages them.
[[nodiscard]] const std::vector<HeapContender>& mallocs();
/// Ours, called and inlined.
[[nodiscard]] const std::vector<HeapContender>& ours();
/// True for the names of those of Boost.Interprocess.
[[nodiscard]] bool is_interprocess(std::string_view name);
/// Boost.Interprocess with its two algorithms.
[[nodiscard]] const std::vector<HeapContender>& interprocess_heaps();
[[nodiscard]] HeapContender pmr_heap();               // for one thread
[[nodiscard]] HeapContender pmr_synchronized_heap();  // for several

/// Everything that one thread, or several, can use.
[[nodiscard]] std::vector<HeapContender> heaps_for_one_thread();
[[nodiscard]] std::vector<HeapContender> heaps_for_threads();

/// The samples of one contender, by case and figure.
struct HeapSamples {
  std::string name;
  std::map<std::pair<std::string, std::string>, Sample> by_figure;

  /// Throws if there is none.
  [[nodiscard]] const Sample& of(const std::string& case_name,
                                 const std::string& figure = kItemNs) const;
};

/// One contender and the cases that it runs.
struct HeapTurn {
  HeapContender contender;
  std::vector<std::string> cases;
};

/// The same cases for each of the contenders.
[[nodiscard]] std::vector<HeapTurn> turns_of(const std::vector<HeapContender>& contenders,
                                             const std::vector<std::string>& cases);

/// All rounds, with one daemon; the samples are in the order of `turns`.
[[nodiscard]] std::vector<HeapSamples> run_heaps(const HeapProgram& program,
                                                 const std::vector<HeapTurn>& turns,
                                                 const Effort& effort);

/// The same with a new daemon for each run: its region holds nothing yet. `after` may add figures
/// of the daemon's to those of each case.
using AfterRun = std::function<void(const Daemon& daemon, Figures& figures)>;
[[nodiscard]] std::vector<HeapSamples> run_heaps_afresh(const HeapProgram& program,
                                                        const std::vector<HeapTurn>& turns,
                                                        const Effort& effort,
                                                        const AfterRun& after);

/// A line of the report, of one figure of one case.
struct HeapLine {
  std::string family;
  std::string name;
  std::string unit;
  std::string case_name;
  std::string figure = kItemNs;
};
[[nodiscard]] Measurement as_measurement(const HeapLine& line,
                                         const std::vector<HeapSamples>& samples);

}  // namespace allot::bench
