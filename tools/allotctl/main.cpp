// allotctl: asks allotd what its regions hold. See allotctl(1).
//
// The command line is taken apart here, and nowhere else; what each command does is in its own
// file.

#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <allot/version.hpp>

#include "tools/allotctl/command.hpp"
#include "tools/allotctl/drawing/map_text.hpp"

namespace {

using allot::ctl::Exit;
using allot::ctl::Options;

struct CommandLine {
  Options options;
  double timeout_s = 10;
  double interval_s = 2;
  std::function<Exit(const Options&)> run;
};

constexpr const char* kFooter =
    "Examples:\n"
    "  allotctl stats                     how full each region is\n"
    "  allotctl stats --full              the same, step by step\n"
    "  allotctl sessions --region default who has how much of it\n"
    "  allotctl map                       the region drawn, a character for some granules\n"
    "  allotctl map --svg region.svg      the same for a browser\n"
    "  allotctl check && echo sound       does everything add up?\n"
    "  allotctl top                       how full they are and who is busy, live\n"
    "  allotctl spans --json | jq .       for programs\n"
    "\n"
    "Exit status: 0 ok, 1 check found violations, 2 wrong usage, 3 no daemon answers,\n"
    "4 the daemon answered with an error. See allotctl(1).";

// What to say of a wrong command line. Without a command: which there are.
std::string complaint(const CLI::App* app, const CLI::Error& error) {
  std::string text = "allotctl: ";
  if (!app->get_subcommands().empty()) {
    text += error.what();
  } else {
    const auto words = app->remaining();
    text += words.empty() ? "say a command" : "there is no command '" + words.front() + "'";
    std::string commands;
    for (const CLI::App* const one : app->get_subcommands([](const CLI::App*) { return true; })) {
      commands += (commands.empty() ? "; use " : ", ") + one->get_name();
    }
    text += commands;
  }
  return text + "\nallotctl --help says more.\n";
}

CLI::App* add_command(CLI::App& app, CommandLine& line, const char* name, const char* what,
                      Exit (*run)(const Options&)) {
  CLI::App* const command = app.add_subcommand(name, what);
  command->fallthrough();  // the options of all commands may stand behind the command, too
  command->footer("The options of all commands: allotctl --help.");
  command->callback([&line, run] { line.run = run; });
  return command;
}

// An option whose value is one of some words.
template <class Value>
void add_choice(CLI::App& command, const char* name, Value& value,
                const std::map<std::string, Value>& choices, const char* what) {
  std::vector<std::string> words;
  for (const auto& [word, meaning] : choices) words.push_back(word);
  command
      .add_option_function<std::string>(
          name, [&value, choices](const std::string& word) { value = choices.at(word); }, what)
      ->type_name("WORD")
      ->check(CLI::IsMember(words));
}

void add_map(CLI::App& app, CommandLine& line) {
  namespace ctl = allot::ctl;
  ctl::MapOptions& options = line.options.map;
  CLI::App* const command = add_command(app, line, "map", "Each region drawn", ctl::run_map);
  command->add_option("--svg", options.svg, "Write it as SVG to FILE; -: to standard output")
      ->type_name("FILE")
      ->excludes(app.get_option("--json"));
  add_choice<ctl::MapView>(*command, "--by", options.view,
                           {{"occupancy", ctl::MapView::kOccupancy},
                            {"kind", ctl::MapView::kKind},
                            {"class", ctl::MapView::kClass},
                            {"owner", ctl::MapView::kOwner},
                            {"age", ctl::MapView::kAge}},
                           "What a character says (default: occupancy)");
  add_choice<ctl::ColorMode>(
      *command, "--color", options.color,
      {{"auto", ctl::ColorMode::kAuto},
       {"always", ctl::ColorMode::kAlways},
       {"never", ctl::ColorMode::kNever}},
      "Owners in colour (default: auto: on a terminal, unless NO_COLOR is set)");
  command->add_option("--width", options.width, "Columns (default: those of the terminal, else 80)")
      ->type_name("COLUMNS")
      ->check(CLI::Range(ctl::kMinMapWidth, ctl::kMaxMapWidth));
  command
      ->add_option("--limit", line.options.limit,
                   "With --json: at most about so many items of a region; 0: all")
      ->capture_default_str()
      ->type_name("N");
}

void add_top(CLI::App& app, CommandLine& line) {
  namespace ctl = allot::ctl;
  ctl::TopOptions& options = line.options.top;
  CLI::App* const command = add_command(
      app, line, "top", "How full each region is and who is busy, live; q ends it", ctl::run_top);
  command->add_option("--interval", line.interval_s, "Refresh so often")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(CLI::Range(0.01, 86'400.0));
  auto* const count = command->add_option("--count", options.count, "End after so many refreshes")
                          ->type_name("N")
                          ->check(CLI::PositiveNumber);
  command
      ->add_flag_callback(
          "--once", [&options] { options.count = 1; }, "The same as --count 1")
      ->excludes(count);
  command->add_option("--busiest", options.busiest, "Show so many sessions")
      ->capture_default_str()
      ->type_name("N");
}

void add_holders(CLI::App& app, CommandLine& line) {
  CLI::App* const command = add_command(
      app, line, "holders", "Who holds a block, or what a session holds", allot::ctl::run_holders);
  auto* const handle =
      command->add_option("handle", line.options.handle, "The block's handle")->type_name("HANDLE");
  command
      ->add_option("--session", line.options.session,
                   "What this session holds, instead: ID or ID.INCARNATION, as sessions prints it")
      ->type_name("ID")
      ->excludes(handle);
  command->require_option(1);
}

void add_check(CLI::App& app, CommandLine& line) {
  CLI::App* const command =
      add_command(app, line, "check", "Whether each region adds up", allot::ctl::run_check);
  auto* const repair = command->add_flag("--repair", line.options.repair,
                                         "First orphan what no session owns (administrators)");
  command
      ->add_option("--offline", line.options.offline,
                   "Without the daemon: by the files of this process, a supervisor or a client")
      ->type_name("PID")
      ->check(CLI::PositiveNumber)
      ->excludes(repair);
}

void describe(CLI::App& app, CommandLine& line) {
  Options& options = line.options;
  app.description("Asks allotd what its regions hold.");
  app.set_version_flag("--version", "allotctl " ALLOT_VERSION_STRING);
  app.require_subcommand(1);
  app.footer(kFooter);
  app.failure_message(complaint);
  auto* const socket =
      app.add_option("--socket", options.socket, "The daemon's control socket")->type_name("PATH");
  app.add_option("--runtime-dir", options.runtime_dir,
                 "The daemon's directory, with control.sock in it (default: $ALLOT_RUNTIME_DIR, "
                 "else /run/allot, then $XDG_RUNTIME_DIR/allot)")
      ->type_name("DIR")
      ->excludes(socket);
  app.add_option("--region", options.region, "Only this region (default: all)")->type_name("NAME");
  app.add_flag("--json", options.json, "Print the daemon's answer as JSON");
  app.add_option("--timeout", line.timeout_s, "Give up after so long")
      ->capture_default_str()
      ->type_name("SECONDS")
      ->check(CLI::Range(0.001, 86'400.0));

  namespace ctl = allot::ctl;
  add_command(app, line, "stats", "How full each region is", ctl::run_stats)
      ->add_flag("--full", options.full, "Every step of the ladder, and what has happened");
  add_command(app, line, "sessions", "Who uses each region", ctl::run_sessions);
  add_top(app, line);
  add_command(app, line, "spans", "How each region is cut up", ctl::run_spans)
      ->add_option("--limit", options.limit, "At most so many spans of a region; 0: all")
      ->capture_default_str()
      ->type_name("N");
  add_map(app, line);
  add_command(app, line, "names", "Which blocks are published", ctl::run_names);
  add_command(app, line, "arenas", "Which arenas and arrays lie in the regions", ctl::run_arenas);
  add_command(app, line, "bins", "How each session's blocks are spread over the size classes",
              ctl::run_bins);
  add_command(app, line, "pools", "Which pools there are, and how full", ctl::run_pools);
  add_holders(app, line);
  add_check(app, line);
  CLI::App* const unpublish =
      add_command(app, line, "unpublish", "Take a name away (administrators)", ctl::run_unpublish);
  unpublish->add_option("name", options.name, "The name")->required()->type_name("NAME");
  unpublish
      ->add_option("handle", options.handle,
                   "The handle it must have (default: the one it has now)")
      ->type_name("HANDLE");
  add_command(app, line, "version", "Versions of this program and the daemon", ctl::run_version);
}

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(seconds * 1000)));
}

int status(Exit exit) { return static_cast<int>(exit); }

}  // namespace

int main(int argc, char** argv) {
  // A file beyond RLIMIT_FSIZE is an error to be told, and not a signal.
  ::signal(SIGXFSZ, SIG_IGN);
  try {
    CommandLine line;
    CLI::App app("", "allotctl");
    describe(app, line);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? status(Exit::kOk) : status(Exit::kUsage);
    }
    line.options.timeout = milliseconds_of(line.timeout_s);
    line.options.top.interval = milliseconds_of(line.interval_s);
    const Exit exit = line.run(line.options);
    // A table that did not reach its reader (a full disk, a closed pipe) is no success.
    if (!std::cout.flush() && exit == Exit::kOk) return status(Exit::kRefused);
    return status(exit);
  } catch (const std::exception& error) {
    std::cerr << "allotctl: " << error.what() << '\n';
    return status(Exit::kRefused);
  }
}
