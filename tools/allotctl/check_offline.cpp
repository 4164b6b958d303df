#include "tools/allotctl/check_offline.hpp"

#include <string>
#include <string_view>
#include <utility>

#include <boost/json/array.hpp>

#include "shared/region/audit_report.hpp"
#include "tools/allotctl/offline/offline_audit.hpp"
#include "tools/allotctl/offline/process_regions.hpp"
#include "tools/allotctl/offline/region_copy.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

json::string_view view_of(std::string_view text) noexcept { return {text.data(), text.size()}; }

// As the daemon's answer to `check` spells it.
json::object region_json(const std::string& name, const OfflineReport& found) {
  const region::AuditReport& report = found.audit;
  json::object out;
  out["region"] = name;
  out["clean"] = report.is_clean() && found.damage.empty();
  out["exact"] = report.exact;
  out["in_motion"] = report.in_motion;
  out["passes"] = report.passes;
  out["violation_count"] = report.violation_count + (found.damage.empty() ? 0 : 1);
  out["granted_bytes"] = report.total.granted_bytes;
  out["live_bytes"] = report.total.live_bytes;
  out["cached_bytes"] = report.total.cached_bytes;
  out["free_bytes"] = report.total.free_bytes;
  out["tail_bytes"] = report.total.tail_bytes;
  out["live_blocks"] = report.total.live_blocks;
  out["spans"] = report.total.spans;
  out["orphans"] = report.orphans;
  out["kept_blocks"] = report.kept.blocks;
  out["allocations"] = report.allocations;
  out["frees"] = report.frees;
  out["block_difference"] = report.block_difference;
  json::array& violations = out["violations"].emplace_array();
  if (!found.damage.empty()) {
    violations.push_back({{"fault", "not_restorable"}, {"text", found.damage}});
  }
  for (const region::Violation& one : report.violations) {
    violations.push_back({{"fault", view_of(region::fault_name(one.fault))},
                          {"granule", one.granule},
                          {"index", one.index},
                          {"word", one.word},
                          {"expected", one.expected},
                          {"text", region::violation_text(one)}});
  }
  json::array& not_checked = out["not_checked"].emplace_array();
  for (const std::string& what : found.not_checked) not_checked.push_back(view_of(what));
  return out;
}

}  // namespace

Expected<json::object> check_offline(const Options& options) {
  auto found = find_regions(options.offline, options.region);
  if (!found) return found.error();
  json::object out;
  out["ok"] = true;
  out["request"] = "check";
  json::array& regions = out["regions"].emplace_array();
  for (ProcessRegion& one : *found) {
    auto copy = RegionCopy::take(std::move(one));
    if (!copy) return copy.error();
    const OfflineReport report = audit_copy(*copy);
    const auto is_unchanged = copy->is_unchanged();
    if (!is_unchanged) return is_unchanged.error();
    if (!*is_unchanged) {
      return Error(std::make_error_code(std::errc::device_or_resource_busy),
                   copy->name() + ": its daemon runs: stop it, or leave --offline out");
    }
    regions.push_back(region_json(copy->name(), report));
  }
  return out;
}

}  // namespace allot::ctl
