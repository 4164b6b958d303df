#include "examples/pipeline/options.hpp"

// g++ 12 sees a null pointer in a vector that CLI11 grows.
#pragma GCC diagnostic ignored "-Wnull-dereference"
#include <CLI/CLI.hpp>
#include <map>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

namespace {

constexpr const char* kFooter = R"(
Files are read into shared memory by one process, hashed in place by the workers, and collected by
another. The same is done once more while one worker is killed half way, and then over pipes; every
digest is compared with sha256sum, and the region is audited.

exit status:
  0  all digests are right, nothing is held, the audit holds
  1  a digest differs, memory is still held, the audit failed, or a process failed
  2  the command line is wrong
  3  the environment does not serve: no file to read, no allotd, no sha256sum, a system call failed,
     interrupted

In --json what is not UTF-8 in a file's name is written as U+FFFD.)";

void add_run(CLI::App& app, RunOptions& run) {
  CLI::App* const command = app.add_subcommand("run", "Run the pipeline on files");
  command->footer(kFooter);
  command->add_option("PATH", run.paths, "Files and directories; links are not followed")
      ->capture_default_str();
  // `./dev run` names the programs it has built; who adds others means those.
  command->add_option("--allotd", run.allotd, "The daemon to start")
      ->take_last()
      ->capture_default_str();
  command->add_option("--allotctl", run.allotctl, "The control program")
      ->take_last()
      ->capture_default_str();
  command->add_option("--workers", run.workers, "Worker processes")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--max-bytes", run.max_bytes, "Take at most so many bytes of files")
      ->transform(CLI::AsSizeValue(false))
      ->capture_default_str();
  command->add_flag("--no-kill", run.no_kill, "Kill no worker");
  command->add_option("--seed", run.seed, "Repeat the choice of whom to kill, and when");
  command->add_option("--timeout", run.timeout_s, "Seconds after which the run counts as hung")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command->add_flag("--json", run.json, "One JSON object on stdout; the rest on stderr");
  // For the tests: faults that the run must survive, or notice.
  static const std::map<std::string, Plant> kPlants = {{"corrupt-one-byte", Plant::kCorruptOneByte},
                                                       {"hold-one-block", Plant::kHoldOneBlock}};
  command->add_option("--plant", run.plant)->transform(CLI::CheckedTransformer(kPlants))->group("");
  static const std::map<std::string, DieAt> kPoints = {
      {"before-hello", DieAt::kBeforeHello}, {"after-hello", DieAt::kAfterHello},
      {"job-adopted", DieAt::kJobAdopted},   {"bytes-adopted", DieAt::kBytesAdopted},
      {"result-made", DieAt::kResultMade},   {"result-offered", DieAt::kResultOffered},
      {"result-sent", DieAt::kResultSent}};
  command->add_option("--die-at", run.die_at)
      ->transform(CLI::CheckedTransformer(kPoints))
      ->group("");
}

void add_role(CLI::App& app, Options& options, const std::string& name, int (*role_main)(Role)) {
  CLI::App* const command = app.add_subcommand(name)->group("");
  Role& role = options.role;
  command->add_option("--list", role.list_path);
  command->add_option("--ready", role.ready_fd);
  command->add_option("--control", role.control_fd);
  command->add_option("--reader", role.reader_fd);
  command->add_option("--collector", role.collector_fd);
  command->add_option("--worker", role.worker_fds);
  command->add_option("--number", role.worker);
  command->add_option("--table", role.table_fd);
  command->add_option("--plant", role.plant);
  command->add_option("--die-at", role.die_at);
  command->callback([&options, name, role_main] {
    options.role_main = role_main;
    options.role_name = name;
  });
}

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
  ParsedOptions parsed;
  Options& options = parsed.options.emplace();
  CLI::App app("Hashes files in several processes over one region of shared memory.", "pipeline");
  app.require_subcommand(1);
  app.footer("`pipeline run --help` says more.");
  add_run(app, options.run);
  add_role(app, options, "reader", run_reader);
  add_role(app, options, "worker", run_worker);
  add_role(app, options, "collector", run_collector);
  add_role(app, options, "pipe-reader", run_pipe_reader);
  add_role(app, options, "pipe-worker", run_pipe_worker);
  add_role(app, options, "pipe-collector", run_pipe_collector);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool is_help = app.exit(error) == 0;
    parsed.options.reset();
    parsed.exit_code = static_cast<int>(is_help ? ExitCode::kOk : ExitCode::kUsage);
  }
  return parsed;
}

}  // namespace pipeline
