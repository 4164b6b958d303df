// allot_bench: measures what README claims, beside its peers in the same run.
//
// Exit status 0 if everything ran, whatever the figures; 1 if something could not run.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>

#include "bench/family.hpp"
#include "bench/report.hpp"

namespace allot::bench {

namespace {

constexpr int kLeastRounds = 7;

struct Arguments {
  std::vector<std::string> families;
  std::string json_path;
  bool list = false;
  bool quick = false;
  int rounds = Effort{}.rounds;
};

Effort effort_of(const Arguments& arguments) {
  Effort effort;
  effort.rounds = arguments.rounds;
  if (arguments.quick) {
    effort.round = std::chrono::milliseconds{5};
    effort.idle_window = std::chrono::milliseconds{3000};
  }
  return effort;
}

/// Runs a family; false if it could not run.
bool run(const Family& family, const Effort& effort, std::vector<Measurement>& measurements) {
  try {
    std::cerr << "allot_bench: " << family.name << " ...\n";
    for (Measurement& measurement : family.measure(effort)) {
      measurements.push_back(std::move(measurement));
    }
    return true;
  } catch (const std::exception& error) {
    std::cerr << "allot_bench: " << family.name << ": " << error.what() << '\n';
    return false;
  }
}

void list_families() {
  for (const Family& family : kFamilies) std::cout << family.name << ": " << family.summary << '\n';
}

/// The table to standard output, unless JSON goes there.
bool write_results(const Arguments& arguments, const std::vector<Measurement>& measurements) {
  if (arguments.json_path == "-") {
    write_json(std::cout, measurements);
    return true;
  }
  write_table(std::cout, measurements);
  if (arguments.json_path.empty()) return true;
  std::ofstream file(arguments.json_path);
  write_json(file, measurements);
  file.close();
  if (!file) std::cerr << "allot_bench: cannot write " << arguments.json_path << '\n';
  return !file.fail();
}

int run_all(const Arguments& arguments) {
  bool complete = true;
  std::vector<Measurement> measurements;
  for (const Family& family : kFamilies) {
    const auto& wanted = arguments.families;
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), family.name) != wanted.end()) {
      complete = run(family, effort_of(arguments), measurements) && complete;
    }
  }
  return write_results(arguments, measurements) && complete ? 0 : 1;
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  bench::Arguments arguments;
  std::vector<std::string> names(bench::kFamilies.size());
  std::transform(bench::kFamilies.begin(), bench::kFamilies.end(), names.begin(),
                 [](const bench::Family& family) { return std::string(family.name); });

  CLI::App app("Measures Allot beside its peers, in one run. Without FAMILY: everything.");
  app.add_option("FAMILY", arguments.families, "What to measure")->check(CLI::IsMember(names));
  app.add_option("--json", arguments.json_path, "Write JSON to this file (-: standard output)");
  app.add_flag("--list", arguments.list, "List the families");
  app.add_option("--rounds", arguments.rounds, "Interleaved repetitions of each measurement")
      ->check(CLI::Range(bench::kLeastRounds, 1000))
      ->capture_default_str();
  app.add_flag("--quick", arguments.quick, "Shorter rounds: to see that it runs, not for figures");
  CLI11_PARSE(app, argc, argv);
  if (arguments.list) {
    bench::list_families();
    return 0;
  }
  return bench::run_all(arguments);
}
