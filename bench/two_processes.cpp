// two-processes: the pair loop in two processes at once, one pinned to each of two processors.
//
// What they share is the region: a line of memory that both write would show here. Two processes
// that share nothing are measured the same way (glibc's malloc), which tells what the machine
// itself takes off when both its processors are busy.

#include <sched.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "bench/contender.hpp"
#include "bench/daemon.hpp"
#include "bench/family.hpp"

namespace allot::bench {

namespace {

constexpr std::size_t kSizeBytes = 64;

std::vector<int> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_getaffinity");
  }
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

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
  const std::vector<int> cpus = usable_cpus();
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
