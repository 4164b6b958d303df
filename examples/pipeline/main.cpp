// pipeline: hashes files in several processes over one region of shared memory, while one of them
// is killed. `pipeline run --help` says how to use it.

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/options.hpp"
#include "examples/pipeline/orchestrator.hpp"
#include "examples/pipeline/report.hpp"

namespace {

int run(const pipeline::Options& options) {
  if (!options.role_main) return pipeline::run_orchestrator(options.run);
  std::signal(SIGPIPE, SIG_IGN);  // a dead peer is an error of write()
  return options.role_main(options.role);
}

int report_failure(const pipeline::Options& options, pipeline::ExitCode code, const char* what) {
  if (options.role_main) {
    std::fprintf(stderr, "pipeline %s: %s\n", options.role_name.c_str(), what);
  } else {
    std::fprintf(options.run.json ? stderr : stdout, "FAILED: %s\n", what);
    if (options.run.json) std::printf("%s\n", pipeline::failure_json(what).c_str());
  }
  return static_cast<int>(code);
}

}  // namespace

int main(int argc, char** argv) {
  const pipeline::ParsedOptions parsed = pipeline::parse_options(argc, argv);
  if (!parsed.options) return parsed.exit_code;
  try {
    return run(*parsed.options);
  } catch (const pipeline::Failure& failure) {
    return report_failure(*parsed.options, failure.code(), failure.what());
  } catch (const std::exception& error) {
    return report_failure(*parsed.options, pipeline::ExitCode::kWrong, error.what());
  }
}
