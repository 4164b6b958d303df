// Crew: the processes of one variant, wired to each other and to the orchestrator.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "examples/pipeline/child.hpp"
#include "examples/pipeline/descriptor.hpp"
#include "examples/pipeline/role.hpp"

namespace pipeline {

struct CrewPlan {
  std::string list_path;    // of the FileSet
  std::string runtime_dir;  // of the daemon
  std::size_t workers = 0;
  int table_fd = 1;  // where the collector prints its table
  Plant plant = Plant::kNone;
  DieAt die_at = DieAt::kNowhere;  // worker 0
};

/// Ends with its processes: they are killed if they still run.
struct Crew {
  Child reader;
  Child collector;
  std::vector<Child> workers;
  Descriptor reader_control;
  Descriptor collector_control;
  Descriptor ready;  // ends when every process is ready or dead
};

[[nodiscard]] Crew start_region_crew(const CrewPlan& plan);
[[nodiscard]] Crew start_pipe_crew(const CrewPlan& plan);

}  // namespace pipeline
