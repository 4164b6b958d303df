// two-processes: the pair loop in two processes at once, one pinned to each of two processors.
//
// What they share is the region: a line of memory that both write would show here. Two processes
// that share nothing are measured the same way (glibc's malloc), which tells what the machine
// itself takes off when both its processors are busy.

#include <stdexcept>

#include "bench/contender.hpp"
#include "bench/daemon.hpp"
#include "bench/family.hpp"
#include "bench/processors.hpp"

namespace allot::bench {

namespace {

constexpr std::size_t kSizeBytes = 64;

/// One allocator in two processes.
class Duo {
 public:
  Duo(const std::string& allocator, int cpu_a, int cpu_b, const std::string& environment)
      : a_({allocator, allocator, "", cpu_a}, environment),
        b_({allocator, allocator, "", cpu_b}, environment) {}

  void prepare(const Effort& effort) {
    a_.prepare(kSizeBytes, effort.round);
    b_.prepare(kSizeBytes, effort.round);
  }

  void run_round() {
    a_.launch();
    b_.launch();
    a_.start();
    const double a_alone_ns = a_.finish();
    b_.start();
    alone_.add((a_alone_ns + b_.finish()) / 2);
    a_.start();
    b_.start();
    const double a_ns = a_.finish();
    together_.add((a_ns + b_.finish()) / 2);
  }

  [[nodiscard]] const Sample& alone() const noexcept { return alone_; }
  [[nodiscard]] const Sample& together() const noexcept { return together_; }

 private:
  Contender a_;
  Contender b_;
  Sample alone_;
  Sample together_;
};

}  // namespace

std::vector<Measurement> measure_two_processes(const Effort& effort) {
  const std::vector<int> cpus = usable_processors();
  if (cpus.size() < 2) throw std::runtime_error("two-processes needs two processors");
  const Daemon daemon;
  Duo ours("allot", cpus[0], cpus[1], daemon.environment());
  Duo glibc("malloc", cpus[0], cpus[1], daemon.environment());
  ours.prepare(effort);
  glibc.prepare(effort);
  for (int round = 0; round < effort.rounds; ++round) {
    ours.run_round();
    glibc.run_round();
  }
  return {{"two-processes",
           "64 B",
           "ns",
           ours.together(),
           {{"one process", ours.alone()}},
           {{"glibc in two", glibc.together()}, {"glibc in one", glibc.alone()}}}};
}

}  // namespace allot::bench
