// growth and resident: what fresh memory costs, and how much is in use after churn.
//
// Each run has a daemon of its own, so that its region begins empty and nothing that an earlier run
// left is taken for fresh or for in use.

#include <algorithm>
#include <boost/json.hpp>
#include <string>
#include <vector>

#include "bench/family.hpp"
#include "bench/heap_rounds.hpp"

namespace allot::bench {

namespace {

constexpr const char* kGrants = "grants";
constexpr const char* kAnonymous = "anonymous mmap";

/// How often the daemon has granted a span, as it says itself.
void add_grants(const Daemon& daemon, Figures& figures) {
  Child allotctl(
      {{ALLOT_BENCH_ALLOTCTL, "--runtime-dir", daemon.runtime_dir().string(), "--json", "stats"},
       {}});
  const boost::json::value stats = boost::json::parse(allotctl.read_all());
  double grants = 0;
  for (const boost::json::value& region : stats.at("regions").as_array()) {
    grants += region.at(kGrants).to_number<double>();
  }
  figures[kGrants] = grants;
}

/// Compared with `peers`, the others beside.
Measurement compared_with(const std::vector<std::string>& peers, Measurement measurement) {
  std::vector<NamedSample> all;
  std::swap(all, measurement.peers);
  for (NamedSample& named : all) {
    const bool is_peer = std::find(peers.begin(), peers.end(), named.name) != peers.end();
    (is_peer ? measurement.peers : measurement.beside).push_back(std::move(named));
  }
  return measurement;
}

std::vector<HeapContender> growing_heaps() {
  std::vector<HeapContender> heaps = heaps_for_one_thread();
  std::erase_if(heaps, [](const HeapContender& heap) { return is_interprocess(heap.name); });
  heaps.push_back({kAnonymous, "mmap", ""});
  return heaps;
}

std::vector<HeapContender> resident_heaps() {
  std::vector<HeapContender> heaps = heaps_for_one_thread();
  std::erase_if(heaps, [](const HeapContender& heap) { return heap.name == kInlined; });
  return heaps;
}

}  // namespace

std::vector<Measurement> measure_growth(const Effort& effort) {
  const HeapProgram program("growth", effort);
  std::vector<Measurement> measurements;
  for (const std::size_t block_bytes : {std::size_t{4} << 10, std::size_t{64} << 10}) {
    const std::string case_name = std::to_string(block_bytes);
    const std::string name = "by " + std::to_string(block_bytes >> 10) + " KiB, ";
    const auto samples =
        run_heaps_afresh(program, turns_of(growing_heaps(), {case_name}), effort, add_grants);
    const auto line = [&](const char* what, const char* unit, const char* figure) {
      return as_measurement({"growth", name + what, unit, case_name, figure}, samples);
    };
    measurements.push_back(compared_with({kAnonymous}, line("4 KiB in all", "ns", "in_all_ns")));
    measurements.push_back(compared_with({kAnonymous}, line("stall for 4 KiB", "ns", "stall_ns")));
    Measurement grants = line("grants", "count", kGrants);
    grants.peers.clear();
    measurements.push_back(grants);
  }
  return measurements;
}

std::vector<Measurement> measure_resident(const Effort& effort) {
  const std::string case_name = "log-normal";
  const auto samples = run_heaps_afresh(HeapProgram("resident", effort),
                                        turns_of(resident_heaps(), {case_name}), effort, {});
  Measurement measurement = compared_with(
      {"mimalloc", "jemalloc", "tcmalloc"},
      as_measurement({"resident", "after churn", "of live", case_name, "over_live"}, samples));
  for (const std::string part : {"data", "ledger", "anonymous"}) {
    measurement.beside.push_back(
        {"ours, " + part, samples.front().of(case_name, part + "_over_live")});
  }
  return {measurement};
}

}  // namespace allot::bench
