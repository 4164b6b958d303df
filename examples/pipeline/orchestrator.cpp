#include "examples/pipeline/orchestrator.hpp"

#include <fcntl.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <utility>

#include "examples/pipeline/crew.hpp"
#include "examples/pipeline/daemon.hpp"
#include "examples/pipeline/descriptor.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/report.hpp"
#include "examples/pipeline/runtime_dir.hpp"
#include "examples/pipeline/supervisor.hpp"
#include "examples/pipeline/text.hpp"

namespace pipeline {

namespace {

constexpr double kEarliestKill = 0.35;
constexpr double kLatestKill = 0.65;

KillPlan choose_victim(std::uint64_t seed, std::size_t workers) {
  std::mt19937_64 random(seed);
  return {std::uniform_int_distribution<std::size_t>(0, workers - 1)(random),
          std::uniform_real_distribution<double>(kEarliestKill, kLatestKill)(random)};
}

class Orchestrator {
 public:
  explicit Orchestrator(const RunOptions& options)
      : options_(options),
        text_(options.json ? stderr : stdout),
        deadline_("the run (--timeout)", std::chrono::seconds(options.timeout_s)),
        files_(FileSet::scan(options.paths, options.max_bytes)),
        report_(files_) {
    report_.seed = options.seed ? *options.seed : std::random_device{}();
    // Without others nobody could finish the victim's work.
    report_.wants_kill = !options.no_kill && options.workers > 1;
  }

  int run() {
    files_.warm();
    print_files(text_, files_);
    if (files_.files().empty()) {
      throw Failure(ExitCode::kEnvironment, "nothing to do: no file to read in " + all_paths());
    }
    if (!options_.no_kill && options_.workers == 1) {
      std::fprintf(text_, "with one worker nobody is killed\n");
    }
    files_.save(list_path());
    run_over_region();
    run_over_pipes();
    verify_digests();
    print_report(text_, report_);
    if (options_.json) std::printf("%s\n", to_json(report_).c_str());
    return static_cast<int>(report_.faults().empty() ? ExitCode::kOk : ExitCode::kWrong);
  }

 private:
  [[nodiscard]] std::string list_path() const { return runtime_dir_.path() / "files"; }

  [[nodiscard]] std::string all_paths() const {
    std::string out;
    for (const std::string& path : options_.paths) out += (out.empty() ? "" : ", ") + path;
    return printable(out);
  }

  [[nodiscard]] CrewPlan crew_plan() const {
    return {.list_path = list_path(),
            .runtime_dir = runtime_dir_.path().native(),
            .workers = options_.workers,
            .table_fd = ::fileno(text_),
            .plant = options_.plant,
            .die_at = options_.die_at};
  }

  void run_over_region() {
    Daemon daemon(options_.allotd, options_.allotctl, runtime_dir_.path());
    SupervisorPlan plan;
    plan.daemon = &daemon.process();
    plan.runtime_dir = runtime_dir_.path();
    if (report_.wants_kill) {
      plan.stage = "region";
      CrewPlan crew = crew_plan();
      const Descriptor nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));  // one table will do
      crew.table_fd = nowhere.get();
      crew.die_at = DieAt::kNowhere;
      report_.undisturbed = Supervisor(start_region_crew(crew), files_, plan, deadline_).run();
      plan.stage = "kill";
      plan.kill = choose_victim(report_.seed, options_.workers);
    } else {
      plan.stage = "region";
    }
    plan.first_worker_dies = options_.die_at != DieAt::kNowhere;
    std::fflush(text_);  // the collector prints, too
    report_.region = Supervisor(start_region_crew(crew_plan()), files_, plan, deadline_).run();
    report_.held = daemon.wait_until_empty();
    report_.stats = daemon.allotctl({"stats"});
    report_.check = daemon.allotctl({"check"});
    report_.daemon_status = daemon.stop();
    if (!report_.faults().empty()) {
      std::fprintf(stderr, "the log of allotd:\n%s\n", daemon.log().c_str());
    }
  }

  void run_over_pipes() {
    SupervisorPlan plan;
    plan.stage = "pipes";
    report_.pipes = Supervisor(start_pipe_crew(crew_plan()), files_, plan, deadline_).run();
  }

  void verify_digests() {
    report_.expected = sha256sum(files_, deadline_);
    if (report_.undisturbed) {
      report_.undisturbed_verification = verify(files_, report_.expected, *report_.undisturbed);
    }
    report_.region_verification = verify(files_, report_.expected, report_.region);
    report_.pipes_verification = verify(files_, report_.expected, report_.pipes);
  }

  const RunOptions& options_;
  std::FILE* text_;
  Deadline deadline_;
  RuntimeDir runtime_dir_;
  FileSet files_;
  Report report_;
};

}  // namespace

int run_orchestrator(const RunOptions& options) {
  catch_interrupts();
  return Orchestrator(options).run();
}

}  // namespace pipeline
