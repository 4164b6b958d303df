// HeapProgram: runs one of the programs of bench/heap/, one contender in a process.
//
// A program is a set of Google Benchmarks named HEAP/CASE. One run is one process of it, told to
// run one heap's cases, and its figures are read from the JSON that it prints.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/family.hpp"

namespace allot::bench {

/// Whose allocate and free. `heap` is its name in the program; `preload` a file name for
/// LD_PRELOAD, "" for none.
struct HeapContender {
  std::string name;
  std::string heap;
  std::string preload;
};

/// Values of one run: its counters by their names, and as kItemNs the time of an item.
using Figures = std::map<std::string, double>;

inline constexpr const char* kItemNs = "ns";

class HeapProgram {
 public:
  /// `family` as in the program's file name: allot_heap_FAMILY.
  explicit HeapProgram(std::string family, const Effort& effort);

  /// Runs the heap's cases one after the other in a new process; the figures of each. Throws if a
  /// case is not there, and if malloc is not the one asked for.
  [[nodiscard]] std::map<std::string, Figures> run(const HeapContender& contender,
                                                   const std::vector<std::string>& cases,
                                                   const std::string& daemon_environment) const;

 private:
  std::string path_;
  bool quick_;
  double least_seconds_;
};

}  // namespace allot::bench
