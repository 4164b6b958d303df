#include "bench/contender.hpp"

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace allot::bench {

namespace {

constexpr std::uint64_t kFirstPairs = 1000;

Command runner_command(const ContenderSpec& spec, const std::string& daemon_environment) {
  Command command;
  command.arguments = {ALLOT_BENCH_RUNNER, "--loop", "pair", "--allocator", spec.loop};
  if (spec.cpu >= 0) {
    command.arguments.insert(command.arguments.end(), {"--cpu", std::to_string(spec.cpu)});
  }
  command.environment = {daemon_environment, "LD_PRELOAD="};
  return command;
}

}  // namespace

Contender::Contender(ContenderSpec spec, std::string daemon_environment)
    : spec_(std::move(spec)), daemon_environment_(std::move(daemon_environment)) {}

void Contender::launch_cold() {
  child_.reset();  // the one before is gone when the next one starts
  child_.emplace(runner_command(spec_, daemon_environment_));
  const std::string ready = child_->read_line();
  if (ready != "ready") throw std::runtime_error(spec_.loop + " says: " + ready);
}

void Contender::prepare(std::size_t size_bytes, std::chrono::milliseconds round) {
  launch_cold();
  size_bytes_ = size_bytes;
  if (spec_.fixed_pairs > 0) {
    pairs_ = spec_.fixed_pairs;
    return;
  }
  const double round_ns = std::chrono::duration<double, std::nano>(round).count();
  std::uint64_t pairs = kFirstPairs;
  double taken_ns = 0;
  for (;; pairs *= 4) {
    order(pairs);
    taken_ns = answer_ns();
    if (taken_ns >= round_ns / 8) break;
  }
  const double wanted = static_cast<double>(pairs) * round_ns / taken_ns;
  pairs_ = std::max(static_cast<std::uint64_t>(wanted), kFirstPairs);
}

void Contender::launch() {
  launch_cold();
  if (spec_.fixed_pairs > 0) return;
  order(std::max(pairs_ / 4, kFirstPairs));
  (void)answer_ns();
}

void Contender::start() const { order(pairs_); }

double Contender::finish() { return answer_ns() / static_cast<double>(pairs_); }

double Contender::measure() {
  launch();
  start();
  return finish();
}

void Contender::order(std::uint64_t pairs) const {
  child_->write_line("run " + std::to_string(pairs) + ' ' + std::to_string(size_bytes_));
}

double Contender::answer_ns() {
  std::istringstream answer(child_->read_line());
  std::uint64_t cpu_ns = 0;
  if (!(answer >> cpu_ns)) throw std::runtime_error(spec_.loop + " does not say how long it took");
  return static_cast<double>(cpu_ns);
}

}  // namespace allot::bench
