// The orchestrator: one run from the command line to the report.
//
// It starts a daemon in a private directory, runs the pipeline over a region and kills a worker
// half way, sees to it that nothing is held afterwards, runs the same pipeline over pipes, and
// compares every digest with sha256sum. It holds no session itself: what is left in the region
// after the run is what the processes left.
#pragma once

#include "examples/pipeline/options.hpp"

namespace pipeline {

/// Returns the exit status. A Failure if the run could not be finished.
int run_orchestrator(const RunOptions& options);

}  // namespace pipeline
