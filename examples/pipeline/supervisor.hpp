// Supervisor: runs a crew to its end: starts it, counts results, kills the chosen worker, notices
// who ends, and times it all. Used by the orchestrator, once for each variant.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "examples/pipeline/crew.hpp"
#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/progress.hpp"
#include "examples/pipeline/results.hpp"
#include "examples/pipeline/variant_result.hpp"
#include "examples/pipeline/wait.hpp"

namespace pipeline {

/// Whom to kill, and when.
struct KillPlan {
  std::size_t worker = 0;
  double at_fraction = 0;
};

struct SupervisorPlan {
  std::string stage;  // shown with the progress
  std::optional<KillPlan> kill;
  bool first_worker_dies = false;  // by itself, for the tests
  Child* daemon = nullptr;         // must outlive the run, if not null
  /// Of the daemon in whose region the results are. Empty: the collector sends them.
  std::filesystem::path runtime_dir;
};

class Supervisor {
 public:
  Supervisor(Crew crew, const FileSet& files, SupervisorPlan plan, const Deadline& deadline);

  /// Returns when every file has a result and every process has ended. A Failure if reader,
  /// collector or daemon failed; what a worker did wrong is among the result's faults.
  [[nodiscard]] VariantResult run();

 private:
  void start();
  void wait_for_events();
  [[nodiscard]] bool any_worker_runs() const;
  [[nodiscard]] bool is_running() const;
  [[nodiscard]] bool has_everything() const;
  void hear_reader();
  void hear_collector();
  [[nodiscard]] bool hear_results();
  void note_result(FileDone done);
  void note_memory_back(const ReaderNote& note);
  void kill_if_due();
  void check_processes();
  void check_worker(std::size_t worker);
  void require_success(Child& child);

  Crew crew_;
  const FileSet& files_;
  SupervisorPlan plan_;
  const Deadline& deadline_;
  Progress progress_;
  VariantResult result_;
  std::optional<ResultReader> region_results_;
  std::uint64_t began_ns_ = 0;
};

}  // namespace pipeline
