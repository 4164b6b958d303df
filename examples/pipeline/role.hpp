// Role: what a process of the pipeline is told when the orchestrator starts it.
//
// Passed as hidden options of the same program. The descriptors are inherited; what a role does not
// use is -1. A role closes `ready_fd` when it is ready, or by dying, so that the orchestrator, who
// waits for the end of that pipe, never waits for a dead one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <allot/session.hpp>

namespace pipeline {

enum class Plant : int {
  kNone = 0,
  kCorruptOneByte = 1,  // the reader flips a bit of a file after reading it
  kHoldOneBlock = 2,    // the collector leaves a block behind
};

/// Where a worker kills itself, for the tests.
enum class DieAt : int {
  kNowhere = 0,
  kBeforeHello = 1,
  kAfterHello = 2,
  kJobAdopted = 3,
  kBytesAdopted = 4,
  kResultMade = 5,
  kResultOffered = 6,
  kResultSent = 7,
};

struct Role {
  std::string list_path;  // of the FileSet
  int ready_fd = -1;
  int control_fd = -1;          // reader, collector: to the orchestrator
  int reader_fd = -1;           // worker, collector
  int collector_fd = -1;        // reader, worker
  std::vector<int> worker_fds;  // reader, collector
  std::uint32_t worker = 0;     // which one a worker is
  int table_fd = -1;            // where the collector prints
  Plant plant = Plant::kNone;
  DieAt die_at = DieAt::kNowhere;
};

/// A session that `allotctl sessions` shows as `label`. A Failure says why there is none.
/// Without a `socket`: the one that the environment names.
[[nodiscard]] allot::Session connect_as(const std::string& label,
                                        const std::filesystem::path& socket = {});

/// Tells the orchestrator that this process is ready.
void report_ready(Role& role);

int run_reader(Role role);
int run_worker(Role role);
int run_collector(Role role);

int run_pipe_reader(Role role);
int run_pipe_worker(Role role);
int run_pipe_collector(Role role);

}  // namespace pipeline
