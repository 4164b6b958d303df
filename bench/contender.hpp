// Contender: one of the runner's loops, measured a round at a time.
//
// Each round is a new process. How fast a process is depends on where its memory came to lie: lines
// that share a cache set, a stack whose addresses look like those of other data. In some processes
// that costs a third; a contender should neither win nor lose all rounds by one throw.
//
// Time is the processor time of the runner's thread: the loops do not wait for anything, and what
// else the machine does meanwhile should not count.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "bench/child.hpp"

namespace allot::bench {

/// What to run.
struct ContenderSpec {
  std::string loop;               // its name in the runner
  int cpu = -1;                   // -1: any
  std::uint64_t fixed_pairs = 0;  // of a round, without warm-up; 0: as many as take a round
};

class Contender {
 public:
  /// `daemon_environment` says where allotd is.
  Contender(ContenderSpec spec, std::string daemon_environment);

  /// Finds out how many pairs of blocks of `size_bytes` take `round`.
  void prepare(std::size_t size_bytes, std::chrono::milliseconds round);
  /// A new process, warmed up.
  void launch();
  /// Begins a round in the process launched last; several contenders may run at once.
  void start() const;
  /// Ends the round; ns a pair.
  [[nodiscard]] double finish();
  /// One round in a new process; ns a pair.
  [[nodiscard]] double measure();

 private:
  void launch_cold();
  void order(std::uint64_t pairs) const;
  [[nodiscard]] double answer_ns();

  ContenderSpec spec_;
  std::string daemon_environment_;
  std::optional<Child> child_;
  std::size_t size_bytes_ = 0;
  std::uint64_t pairs_ = 0;
};

}  // namespace allot::bench
