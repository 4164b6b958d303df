// Report: everything that a run found out, as text for people and as JSON for programs.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "examples/pipeline/daemon.hpp"
#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/variant_result.hpp"
#include "examples/pipeline/verification.hpp"

namespace pipeline {

struct Report {
  explicit Report(const FileSet& set) : files(set) {}

  const FileSet& files;  // outlives the report
  std::uint64_t seed = 0;
  bool wants_kill = false;
  /// Over the region without a kill, if `region` has one: what the pipes are compared with.
  std::optional<VariantResult> undisturbed;
  VariantResult region;
  VariantResult pipes;
  Verification undisturbed_verification;
  Verification region_verification;
  Verification pipes_verification;
  Holdings held;  // by the region, after the run
  Captured stats;
  Captured check;
  ExitStatus daemon_status;
  std::vector<std::string> expected;  // by sha256sum, for each file

  /// How many times as fast as the pipes the region was, nobody being killed; 0 if unknown.
  [[nodiscard]] double ratio() const;
  /// Why the run failed; empty if it did not.
  [[nodiscard]] std::vector<std::string> faults() const;
};

void print_files(std::FILE* out, const FileSet& files);
void print_report(std::FILE* out, const Report& report);
[[nodiscard]] std::string to_json(const Report& report);
/// Of a run that could not be finished.
[[nodiscard]] std::string failure_json(const std::string& reason);

}  // namespace pipeline
