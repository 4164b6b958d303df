// allot_bench: measures what README claims, beside its peers in the same run.
//
// Exit status 0 if everything ran, whatever the figures; 1 if something could not run.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>

#include "bench/drawing.hpp"
#include "bench/family.hpp"
#include "bench/report.hpp"

namespace allot::bench {

namespace {

constexpr int kLeastRounds = 7;
constexpr int kQuickRounds = 2;

struct Arguments {
  std::vector<std::string> families;
  std::string json_path;
  std::string svg_directory;
  bool list = false;
  bool quick = false;
  int rounds = Effort{}.rounds;
};

Effort effort_of(const Arguments& arguments) {
  Effort effort;
  effort.rounds = arguments.rounds;
  if (arguments.quick) {
    effort.quick = true;
    effort.rounds = kQuickRounds;
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
  for (const Family& family : kFamilies) {
    std::cout << family.name << ": "
              << (family.group.empty() ? "" : "(" + std::string(family.group) + ") ")
              << family.summary << '\n';
  }
}

/// True if the family is asked for by its name or its group's, or everything is.
bool is_wanted(const Family& family, const std::vector<std::string>& wanted) {
  return wanted.empty() || std::any_of(wanted.begin(), wanted.end(), [&](const std::string& name) {
           return name == family.name || name == family.group;
         });
}

/// A picture of each family that was measured; false if one cannot be written.
bool draw_results(const std::string& directory, const std::vector<Measurement>& measurements) {
  for (const Family& family : kFamilies) {
    const bool measured = std::any_of(measurements.begin(), measurements.end(),
                                      [&](const auto& one) { return one.family == family.name; });
    if (!measured) continue;
    const std::string path = directory + '/' + std::string(family.name) + ".svg";
    std::ofstream file(path);
    write_svg(file, family.name, measurements);
    file.close();
    if (file) continue;
    std::cerr << "allot_bench: cannot write " << path << '\n';
    return false;
  }
  return true;
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
    if (is_wanted(family, arguments.families)) {
      complete = run(family, effort_of(arguments), measurements) && complete;
    }
  }
  const std::string& drawn = arguments.svg_directory;
  const bool written = write_results(arguments, measurements) &&
                       (drawn.empty() || draw_results(drawn, measurements));
  return written && complete ? 0 : 1;
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  bench::Arguments arguments;
  std::vector<std::string> names;
  for (const bench::Family& family : bench::kFamilies) {
    names.emplace_back(family.name);
    if (!family.group.empty()) names.emplace_back(family.group);
  }

  CLI::App app("Measures Allot beside its peers, in one run. Without FAMILY: everything.");
  app.add_option("FAMILY", arguments.families, "What to measure: families, or a group of them")
      ->check(CLI::IsMember(names));
  app.add_option("--json", arguments.json_path, "Write JSON to this file (-: standard output)");
  app.add_option("--svg", arguments.svg_directory, "Draw each family into this directory")
      ->check(CLI::ExistingDirectory);
  app.add_flag("--list", arguments.list, "List the families");
  app.add_option("--rounds", arguments.rounds, "Interleaved repetitions of each measurement")
      ->check(CLI::Range(bench::kLeastRounds, 1000))
      ->capture_default_str();
  app.add_flag("--quick", arguments.quick,
               "Short and few rounds: to see that it runs, not for figures");
  CLI11_PARSE(app, argc, argv);
  if (arguments.list) {
    bench::list_families();
    return 0;
  }
  return bench::run_all(arguments);
}
