// The report as one JSON object.

#include <allot/scratch.hpp>
#include <boost/json.hpp>

#include "examples/pipeline/digest.hpp"
#include "examples/pipeline/report.hpp"
#include "examples/pipeline/text.hpp"

namespace pipeline {

namespace {

namespace json = boost::json;

json::array names_json(const std::vector<std::string>& names) {
  json::array out;
  for (const std::string& name : names) out.emplace_back(utf8(name));
  return out;
}

json::array skipped_json(const std::vector<Skipped>& skipped) {
  json::array out;
  for (const Skipped& one : skipped) {
    out.push_back({{"path", utf8(one.path)}, {"reason", utf8(one.reason)}});
  }
  return out;
}

json::object kill_json(const KillRecord& kill) {
  json::object out{{"worker", kill.worker},
                   {"at_fraction", kill.at_fraction},
                   {"redone_files", kill.redone_files},
                   {"redone_bytes", kill.redone_bytes},
                   {"memory_back_ms", nullptr}};
  if (kill.memory_back_ns) {
    out["memory_back_ms"] = static_cast<double>(*kill.memory_back_ns) * 1e-6;
  }
  return out;
}

json::object variant_json(const VariantResult& result, const Verification& verification) {
  json::array workers;
  for (const WorkerShare& one : result.workers) {
    workers.push_back({{"files", one.files}, {"bytes", one.size_bytes}, {"ending", one.ending}});
  }
  json::object out{{"files", result.files},
                   {"bytes", result.size_bytes},
                   {"seconds", result.seconds},
                   {"files_per_second", result.files_per_second()},
                   {"megabytes_per_second", result.megabytes_per_second()},
                   {"read_files", result.read_files},
                   {"read_bytes", result.read_bytes},
                   {"workers", std::move(workers)},
                   {"skipped", skipped_json(result.skipped)},
                   {"right", verification.right},
                   {"wrong", names_json(verification.wrong)},
                   {"changed", names_json(verification.changed)},
                   {"kill", nullptr}};
  if (result.kill) out["kill"] = kill_json(*result.kill);
  return out;
}

json::array results_json(const Report& report) {
  json::array out;
  for (std::size_t i = 0; i < report.region.results.size(); ++i) {
    const auto& done = report.region.results[i];
    if (!done) continue;
    auto scratch = allot::scratch();
    out.push_back({{"path", utf8(report.files.files()[i].path)},
                   {"sha256", std::string(to_hex(done->digest, *scratch))},
                   {"bytes", done->size_bytes},
                   {"lines", done->lines},
                   {"worker", done->worker}});
  }
  return out;
}

}  // namespace

std::string to_json(const Report& report) {
  const auto faults = report.faults();
  json::object out{{"ok", faults.empty()},
                   {"faults", names_json(faults)},
                   {"seed", report.seed},
                   {"files", report.files.files().size()},
                   {"bytes", report.files.size_bytes()},
                   {"links", report.files.symlinks()},
                   {"specials", report.files.specials()},
                   {"skipped", skipped_json(report.files.skipped())},
                   {"region", variant_json(report.region, report.region_verification)},
                   {"pipes", variant_json(report.pipes, report.pipes_verification)},
                   {"ratio", report.ratio()},
                   {"held_bytes", report.held.granted_bytes},
                   {"held_sessions", report.held.sessions},
                   {"stats", utf8(report.stats.output)},
                   {"check", utf8(report.check.output)},
                   {"results", results_json(report)},
                   {"undisturbed", nullptr}};
  if (report.undisturbed) {
    out["undisturbed"] = variant_json(*report.undisturbed, report.undisturbed_verification);
  }
  return json::serialize(out);
}

std::string failure_json(const std::string& reason) {
  const json::object out{{"ok", false}, {"faults", json::array{utf8(reason)}}};
  return json::serialize(out);
}

}  // namespace pipeline
