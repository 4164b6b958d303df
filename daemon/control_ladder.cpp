#include "daemon/control_ladder.hpp"

#include <algorithm>

#include "daemon/clock.hpp"
#include "daemon/control_json.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

constexpr std::uint64_t kNeverAsked = core::Totals{}.least_available_bytes;

json::object committed_json(const ControlContext& context, const core::RegionCore& region) {
  json::object out;
  std::uint64_t total = 0;
  const auto add = [&](const char* key, core::RegionFile file) {
    const std::uint64_t bytes = context.committed_bytes(region, file);
    out[key] = bytes;
    total += bytes;
  };
  add("directory_bytes", core::RegionFile::kDirectory);
  add("ledger_bytes", core::RegionFile::kLedger);
  add("data_bytes", core::RegionFile::kData);
  out["total_bytes"] = total;
  return out;
}

}  // namespace

json::object ladder_json(const ControlContext& context, const core::RegionCore& region,
                         const region::AuditReport& report) {
  const core::Totals& totals = region.totals();
  const core::Limits& limits = region.limits();
  const std::uint64_t created = region.view().header().created_unix_ns;
  const std::uint64_t now = unix_now_ns();
  const double age_s = now > created ? static_cast<double>(now - created) * 1e-9 : 0;
  json::object object;
  object["region"] = region.name();
  object["created_unix_ns"] = created;
  object["reserved_bytes"] = region.view().granules() * region::kGranuleBytes;
  object["commit_limit_bytes"] = limits.commit_limit_bytes;
  object["session_quota_bytes"] = limits.session_quota_bytes;
  object["uid_quota_bytes"] = limits.uid_quota_bytes;
  object["session_reserve_bytes"] = limits.session_reserve_bytes;
  object["uid_reserve_bytes"] = limits.uid_reserve_bytes;
  object["reserve_limit_bytes"] = limits.reserve_limit_bytes;
  object["committed"] = committed_json(context, region);
  add_space(object, report.total);
  object["granted_bytes"] = totals.granted_bytes;
  object["dirty_bytes"] = region.dirty_bytes();
  object["reservation_bytes"] = totals.reservation_bytes;
  object["most_granted_bytes"] = totals.most_granted_bytes;
  object["least_room_bytes"] =
      limits.commit_limit_bytes - std::min(limits.commit_limit_bytes, totals.most_granted_bytes);
  if (totals.least_available_bytes != kNeverAsked) {
    object["least_available_bytes"] = totals.least_available_bytes;
  }
  object["high_water_bytes"] = region.high_water_granules() * region::kGranuleBytes;
  object["kept_blocks"] = report.kept.blocks;
  object["sessions"] = region.session_count();
  object["heaps"] = report.heaps;
  object["orphans"] = region.orphan_count();
  object["names"] = region.names().size();
  object["hidden_names"] = region.hidden_names().size();
  object["grants"] = totals.grants;
  object["grants_per_second"] = age_s > 0 ? static_cast<double>(totals.grants) / age_s : 0.0;
  object["returns"] = totals.returns;
  object["recoveries"] = totals.recoveries;
  object["recovered_blocks"] = totals.recovered_blocks;
  object["reclaimed_blocks"] = totals.reclaimed_blocks;
  object["refusals"] = totals.refusals;
  object["exact"] = report.exact;
  return object;
}

}  // namespace allot::daemon
