// allot_bench_runner: one contender, in a process of its own.
//
// With --loop pair it prints "ready", then answers each line "run PAIRS SIZE" on its standard input
// with the processor time in ns; or, with --pairs, runs once and exits. With --loop hold it
// allocates, prints "held SESSION INCARNATION" and waits to be killed. Either ends with its
// standard input.

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <allot/session.hpp>

#include "bench/runner/arena_loop.hpp"
#include "bench/runner/loop.hpp"
#include "bench/runner/mixed_loop.hpp"

namespace allot::bench {

namespace {

struct Settings {
  std::string loop = "pair";
  std::string allocator = "allot";
  std::size_t size_bytes = 64;
  int cpu = -1;
  std::uint64_t pairs = 0;
  std::uint64_t warm_up_pairs = 100'000;
  std::uint64_t plant_syscall_every = 0;
  std::uint64_t blocks = 0;
};

const LoopTable& loops() {
  static const LoopTable kLoops = [] {
    LoopTable all = {{"allot", make_allot_loop}, {"allot-inline", make_allot_inline_loop}};
    all.insert(arena_loops().begin(), arena_loops().end());
    all.insert(mixed_loops().begin(), mixed_loops().end());
    return all;
  }();
  return kLoops;
}

std::vector<std::string> allocator_names() {
  std::vector<std::string> names;
  for (const auto& [name, unused] : loops()) names.push_back(name);
  return names;
}

std::unique_ptr<Loop> make_loop(const std::string& name) {
  std::unique_ptr<Loop> loop = loops().at(name)();
  if (loop == nullptr) throw std::runtime_error("no " + name + " in this build");
  return loop;
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    throw std::runtime_error(std::string("sched_setaffinity: ") + std::strerror(errno));
  }
}

void serve(Loop& loop) {
  std::cout << "ready" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string command;
    std::uint64_t pairs = 0;
    std::size_t size_bytes = 0;
    words >> command >> pairs >> size_bytes;
    if (!words || command != "run") throw std::runtime_error("not a command: " + line);
    const std::uint64_t start_ns = loop.time_ns();
    loop.run(pairs, size_bytes);
    std::cout << loop.time_ns() - start_ns << std::endl;
  }
}

void run_once(Loop& loop, const Settings& settings) {
  loop.run(settings.warm_up_pairs, settings.size_bytes);
  const std::uint64_t step =
      settings.plant_syscall_every > 0 ? settings.plant_syscall_every : settings.pairs;
  for (std::uint64_t done = 0; done < settings.pairs; done += step) {
    loop.run(std::min(step, settings.pairs - done), settings.size_bytes);
    if (settings.plant_syscall_every > 0) (void)syscall(SYS_getppid);
  }
}

void hold(const Settings& settings) {
  Session session = Session::connect().value();
  for (std::uint64_t i = 0; i < settings.blocks; ++i) {
    void* const block = session.allocate(settings.size_bytes);
    if (block == nullptr) throw std::runtime_error(Session::last_error().message());
    std::memset(block, 1, settings.size_bytes);
  }
  std::cout << "held " << session.id().session << ' ' << session.id().incarnation << std::endl;
  std::string line;
  std::getline(std::cin, line);
}

void run(const Settings& settings) {
  if (settings.cpu >= 0) pin_to(settings.cpu);
  if (settings.loop == "hold") {
    hold(settings);
    return;
  }
  const std::unique_ptr<Loop> loop = make_loop(settings.allocator);
  if (settings.pairs > 0) {
    run_once(*loop, settings);
  } else {
    serve(*loop);
  }
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  allot::bench::Settings settings;
  CLI::App app("One contender of allot_bench");
  app.add_option("--loop", settings.loop, "What to do")->check(CLI::IsMember({"pair", "hold"}));
  app.add_option("--allocator", settings.allocator, "Whose allocate and free")
      ->check(CLI::IsMember(allot::bench::allocator_names()));
  app.add_option("--size", settings.size_bytes, "Bytes of a block")->check(CLI::PositiveNumber);
  app.add_option("--cpu", settings.cpu, "Run on this processor only");
  app.add_option("--pairs", settings.pairs, "Do so many pairs and exit, instead of obeying lines");
  app.add_option("--warm-up", settings.warm_up_pairs, "Pairs before --pairs");
  app.add_option("--plant-syscall-every", settings.plant_syscall_every,
                 "A fault for the test of system calls: make one after so many pairs");
  app.add_option("--blocks", settings.blocks, "Blocks that --loop hold allocates");
  CLI11_PARSE(app, argc, argv);
  try {
    allot::bench::run(settings);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "allot_bench_runner: " << error.what() << '\n';
    return 1;
  }
}
