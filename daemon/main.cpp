// allotd: reads its options and configuration, then runs the daemon, or a supervisor that runs it.
// See allotd(8).
//
// Exit status: 0 ended by a signal or nothing to do, 1 cannot start, 2 wrong usage or
// configuration, 3 the stored regions are of another layout.

#include <unistd.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <allot/version.hpp>

#include "daemon/config.hpp"
#include "daemon/daemon.hpp"
#include "daemon/log.hpp"
#include "daemon/restart_policy.hpp"
#include "daemon/runtime_dir.hpp"
#include "daemon/supervisor.hpp"
#include "shared/region/layout.hpp"

namespace {

using namespace allot;  // NOLINT(google-build-using-namespace)

constexpr int kCannotStart = daemon::kExitCannotStart;
constexpr int kWrongUsage = daemon::kExitWrongUsage;
constexpr int kOtherLayout = daemon::kExitOtherLayout;

struct CommandLine {
  std::string runtime_dir;
  std::string config;
  std::string log_level;
  std::string force_fallback;
  bool check_config = false;
  bool layout = false;
  bool supervise = false;
  std::int64_t longest_pause_ms = daemon::RestartPolicy::kLongestPause.count();
};

void describe(CLI::App& app, CommandLine& line) {
  app.description("Serves shared memory regions to the programs of this machine.");
  app.add_option("--runtime-dir", line.runtime_dir,
                 "Directory of the sockets (default: $RUNTIME_DIRECTORY, $ALLOT_RUNTIME_DIR, "
                 "/run/allot for root, $XDG_RUNTIME_DIR/allot)")
      ->type_name("DIR");
  app.add_option("--config", line.config,
                 "Configuration (default: allotd.toml in $CONFIGURATION_DIRECTORY, in /etc/allot "
                 "for root; built-in values if there is none)")
      ->type_name("FILE");
  app.add_flag("--check-config", line.check_config,
               "Only say what is wrong with the configuration");
  app.add_flag("--supervise", line.supervise,
               "Run the daemon below a parent that keeps its regions and starts it again when it "
               "ends; SIGHUP to the parent: start it anew, of the build that is installed now");
  app.add_option("--longest-pause", line.longest_pause_ms,
                 "How long --supervise waits at most before it starts a daemon again that did not "
                 "live for a second")
      ->type_name("MS")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str();
  app.add_option("--log-level", line.log_level,
                 std::string(daemon::kLogLevelNames) + "; overrides the configuration")
      ->type_name("LEVEL");
  // For tests: use the fallbacks of older kernels.
  app.add_option("--force-fallback", line.force_fallback)->group("");
  app.add_flag(
      "--layout", line.layout,
      "Only print the fingerprint of the layout of regions: a daemon goes on with the regions "
      "of another build that prints the same");
  app.set_version_flag("--version", "allotd " ALLOT_VERSION_STRING);
  app.footer(
      "Exit status: 0 ended by a signal, 1 cannot start, 2 wrong usage or configuration,\n"
      "3 the stored regions are of another layout.\n"
      "See allotd(8) and allotd.toml(5).");
}

// The file to read: the one that was named, or a usual one if it is there.
std::optional<std::filesystem::path> find_config(const CommandLine& line) {
  if (!line.config.empty()) return line.config;
  std::filesystem::path directory;
  if (const char* const by_systemd = std::getenv("CONFIGURATION_DIRECTORY");
      by_systemd != nullptr && *by_systemd != '\0') {
    const std::string list(by_systemd);
    directory = list.substr(0, list.find(':'));
  } else if (::geteuid() == 0) {
    directory = "/etc/allot";
  } else {
    return std::nullopt;
  }
  std::error_code ignored;
  const auto file = directory / "allotd.toml";
  // One that cannot be looked at may be there: reading it says what is wrong.
  const bool is_there =
      std::filesystem::status(file, ignored).type() != std::filesystem::file_type::not_found;
  return is_there ? std::optional(file) : std::nullopt;
}

int fail(int status, const std::string& why) {
  std::cerr << "allotd: " << why << '\n';
  return status;
}

int run(const CommandLine& line, std::vector<std::string> arguments) {
  if (line.layout) {
    std::printf("%016" PRIx64 "\n", region::fingerprint());
    return 0;
  }
  daemon::DaemonOptions options;
  const auto file = find_config(line);
  if (file) {
    const auto reading = daemon::read_config(*file);
    for (const std::string& mistake : reading.mistakes) std::cerr << mistake << '\n';
    if (!reading.mistakes.empty()) return reading.is_shortage ? kCannotStart : kWrongUsage;
    options.config = reading.config;
  }
  if (!line.log_level.empty()) {
    const auto level = daemon::log_level_of(line.log_level);
    if (!level) {
      return fail(kWrongUsage, "--log-level: use " + std::string(daemon::kLogLevelNames));
    }
    options.config.log_level = *level;
  }
  const auto forced = daemon::ForcedFallbacks::parse(line.force_fallback);
  if (!forced) return fail(kWrongUsage, "--force-fallback: use peerpidfd,passrights");
  options.forced = *forced;
  if (line.check_config) {
    std::cout << (file ? file->native() : "built-in configuration") << ": ok\n";
    return 0;
  }
  if (line.runtime_dir.empty()) {
    auto found = daemon::default_runtime_dir();
    if (!found) return fail(kWrongUsage, found.error().detail);
    options.runtime_dir = *found;
  } else {
    options.runtime_dir = line.runtime_dir;
  }
  daemon::harden_process();
  if (line.supervise) {
    const auto status = daemon::supervise({options.runtime_dir, std::move(arguments),
                                           std::chrono::milliseconds(line.longest_pause_ms)});
    return status ? *status : fail(kCannotStart, status.error().message());
  }
  daemon::start_log(options.config.log_level);
  const auto served = daemon::run_daemon(options);
  if (served) return 0;
  return fail(served.error() == Errc::kLayoutMismatch ? kOtherLayout : kCannotStart,
              served.error().message());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    CommandLine line;
    CLI::App app;
    describe(app, line);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : kWrongUsage;
    }
    return run(line, {argv, argv + argc});
  } catch (const std::exception& error) {
    return fail(kCannotStart, error.what());
  }
}
