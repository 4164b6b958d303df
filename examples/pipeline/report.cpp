#include "examples/pipeline/report.hpp"

#include <algorithm>
#include <utility>

#include "examples/pipeline/text.hpp"

namespace pipeline {

namespace {

constexpr std::size_t kShownNames = 5;

void print_names(std::FILE* out, const char* what, const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::fprintf(out, "%s (%zu):\n", what, names.size());
  for (std::size_t i = 0; i < std::min(names.size(), kShownNames); ++i) {
    std::fprintf(out, "  %s\n", printable(names[i]).c_str());
  }
  if (names.size() > kShownNames) std::fprintf(out, "  ...\n");
}

void print_skipped(std::FILE* out, const std::vector<Skipped>& skipped) {
  std::vector<std::string> lines;
  lines.reserve(skipped.size());
  for (const Skipped& one : skipped) lines.push_back(one.path + ": " + one.reason);
  print_names(out, "skipped", lines);
}

void print_variant(std::FILE* out, const char* name, const VariantResult& result) {
  std::fprintf(out, "%-14s %9s %15s %9.3f %11s %9s\n", name, grouped(result.files).c_str(),
               grouped(result.size_bytes).c_str(), result.seconds,
               fixed(result.files_per_second(), 0).c_str(),
               fixed(result.megabytes_per_second(), 1).c_str());
}

const char* region_name(const Report& report) {
  return report.wants_kill ? "region, a kill" : "region";
}

void print_workers(std::FILE* out, const Report& report) {
  std::vector<std::pair<const char*, const VariantResult*>> columns;
  if (report.undisturbed) columns.emplace_back("REGION", &*report.undisturbed);
  columns.emplace_back(report.wants_kill ? "REGION, A KILL" : "REGION", &report.region);
  columns.emplace_back("PIPES", &report.pipes);
  std::fprintf(out, "\n%-6s", "WORKER");
  for (const auto& [name, result] : columns) std::fprintf(out, " %22s", name);
  std::fprintf(out, "\n");
  for (std::size_t i = 0; i < report.region.workers.size(); ++i) {
    std::fprintf(out, "%-6zu", i);
    for (const auto& [name, result] : columns) {
      const WorkerShare& one = result->workers[i];
      const std::string share = grouped(one.files) + " / " + size_text(one.size_bytes);
      std::fprintf(out, " %22s", share.c_str());
    }
    const std::string& ending = report.region.workers[i].ending;
    if (!ending.empty()) {
      std::fprintf(out, "  (%s: ended by %s)", region_name(report), ending.c_str());
    }
    std::fprintf(out, "\n");
  }
}

void print_kill(std::FILE* out, const Report& report) {
  if (!report.wants_kill) return;
  const auto& kill = report.region.kill;
  if (!kill) {
    std::fprintf(out, "\nno worker was killed: the run was over before\n");
    return;
  }
  std::fprintf(
      out, "\nworker %zu was killed at %.1f %% of the work (seed %llu): %s files (%s) done again, ",
      kill->worker, kill->at_fraction * 100, static_cast<unsigned long long>(report.seed),
      grouped(kill->redone_files).c_str(), size_text(kill->redone_bytes).c_str());
  if (kill->memory_back_ns) {
    std::fprintf(out, "its memory back after %.2f ms\n",
                 static_cast<double>(*kill->memory_back_ns) * 1e-6);
  } else {
    std::fprintf(out, "the run was over before its memory was seen to be back\n");
  }
}

void print_verification(std::FILE* out, const char* name, const Verification& verification) {
  std::fprintf(out, "%s: %s digests as sha256sum has them, %zu differ\n", name,
               grouped(verification.right).c_str(), verification.wrong.size());
  print_names(out, "wrong", verification.wrong);
  print_names(out, "changed during the run, not compared", verification.changed);
}

}  // namespace

double Report::ratio() const {
  const double seconds = (undisturbed ? *undisturbed : region).seconds;
  return seconds > 0 ? pipes.seconds / seconds : 0;
}

std::vector<std::string> Report::faults() const {
  std::vector<std::string> out = region.faults;
  if (undisturbed) {
    out.insert(out.end(), undisturbed->faults.begin(), undisturbed->faults.end());
  }
  out.insert(out.end(), pipes.faults.begin(), pipes.faults.end());
  const auto digests = [&out](const char* name, const Verification& verification) {
    if (verification.wrong.empty()) return;
    out.push_back(std::string(name) + ": " + std::to_string(verification.wrong.size()) +
                  " digests differ from sha256sum's");
  };
  digests("region without a kill", undisturbed_verification);
  digests("region", region_verification);
  digests("pipes", pipes_verification);
  if (!held.none()) {
    out.push_back("the region still holds " + grouped(held.granted_bytes) + " bytes and " +
                  std::to_string(held.sessions) + " sessions");
  }
  if (!stats.status.succeeded()) {
    out.push_back("allotctl stats ended with " + stats.status.describe());
  }
  if (!check.status.succeeded()) {
    out.push_back("the audit does not hold: allotctl check ended with " + check.status.describe());
  }
  if (!daemon_status.succeeded()) {
    out.push_back("allotd ended with " + daemon_status.describe());
  }
  return out;
}

void print_files(std::FILE* out, const FileSet& files) {
  std::fprintf(out, "%s files, %s", grouped(files.files().size()).c_str(),
               size_text(files.size_bytes()).c_str());
  if (files.symlinks() > 0) {
    std::fprintf(out, "; %s links not followed", grouped(files.symlinks()).c_str());
  }
  if (files.specials() > 0) {
    std::fprintf(out, "; %s special files left out", grouped(files.specials()).c_str());
  }
  std::fprintf(out, "%s\n", files.is_full() ? "; there may be more (--max-bytes)" : "");
  print_skipped(out, files.skipped());
}

void print_report(std::FILE* out, const Report& report) {
  print_skipped(out, report.region.skipped);
  std::fprintf(out, "\n%-14s %9s %15s %9s %11s %9s\n", "VARIANT", "FILES", "BYTES", "SECONDS",
               "FILES/S", "MB/S");
  if (report.undisturbed) print_variant(out, "region", *report.undisturbed);
  print_variant(out, region_name(report), report.region);
  print_variant(out, "pipes", report.pipes);
  std::fprintf(out,
               "without a kill the region is %s times as fast as the pipes; every file was read "
               "once before, so all read from the page cache\n",
               fixed(report.ratio(), 2).c_str());
  print_workers(out, report);
  print_kill(out, report);
  std::fprintf(out, "\n");
  if (report.undisturbed) print_verification(out, "region", report.undisturbed_verification);
  print_verification(out, region_name(report), report.region_verification);
  print_verification(out, "pipes", report.pipes_verification);
  std::fprintf(out, "\n$ allotctl stats\n%s\n$ allotctl check\n%s", report.stats.output.c_str(),
               report.check.output.c_str());
  const auto faults = report.faults();
  std::fprintf(out, "\n%s", faults.empty() ? "OK" : "FAILED");
  const char* separator = ": ";
  for (const std::string& fault : faults) {
    std::fprintf(out, "%s%s", separator, fault.c_str());
    separator = "; ";
  }
  std::fprintf(out, "\n");
}

}  // namespace pipeline
