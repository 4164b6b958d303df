#include "daemon/control_audits.hpp"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "daemon/clock.hpp"
#include "daemon/control_json.hpp"
#include "daemon/core/audit_input.hpp"
#include "shared/region/audit.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

// Those answers that need to know what the own words of the whole region say.
class AuditedAnswer : public RegionAnswer {
 protected:
  AuditedAnswer(const ControlQuery& query, ControlContext context, Regions regions,
                std::uint32_t passes)
      : RegionAnswer(query, std::move(context), std::move(regions)), passes_(passes) {}

  bool step_region(core::RegionCore& region, std::string& out) final {
    if (audit_ == nullptr) {
      audit_ = std::make_unique<region::Audit>(
          region.view(),
          [this, &region] {
            return core::audit_input(region, window_granules(region), heap_window(region));
          },
          passes_);
    }
    if (!audited_) {
      audited_ = audit_->step(kControlSliceWords);
      return false;
    }
    if (!write_region(region, audit_->report(), out)) return false;
    audit_.reset();
    audited_ = false;
    return true;
  }

  /// One slice of text; true when the region's object is complete.
  [[nodiscard]] virtual bool write_region(core::RegionCore& region,
                                          const region::AuditReport& report, std::string& out) = 0;

 private:
  std::uint32_t passes_;
  std::unique_ptr<region::Audit> audit_;
  bool audited_ = false;
};

class StatsAnswer final : public AuditedAnswer {
 public:
  StatsAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : AuditedAnswer(query, std::move(context), std::move(regions), 1) {}

 private:
  json::object committed_json(const core::RegionCore& region) const {
    json::object out;
    std::uint64_t total = 0;
    const auto add = [&](const char* key, core::RegionFile file) {
      const std::uint64_t bytes = context().committed_bytes(region, file);
      out[key] = bytes;
      total += bytes;
    };
    add("directory_bytes", core::RegionFile::kDirectory);
    add("ledger_bytes", core::RegionFile::kLedger);
    add("data_bytes", core::RegionFile::kData);
    out["total_bytes"] = total;
    return out;
  }

  bool write_region(core::RegionCore& region, const region::AuditReport& report,
                    std::string& out) override {
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
    object["committed"] = committed_json(region);
    add_space(object, report.total);
    object["granted_bytes"] = totals.granted_bytes;
    object["dirty_bytes"] = region.dirty_bytes();
    object["reservation_bytes"] = totals.reservation_bytes;
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
    out += json::serialize(object);
    return true;
  }
};

class CheckAnswer final : public AuditedAnswer {
 public:
  CheckAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : AuditedAnswer(query, std::move(context), std::move(regions),
                      region::Audit::kDefaultPasses) {}

 private:
  bool write_region(core::RegionCore& region, const region::AuditReport& report,
                    std::string& out) override {
    json::object object;
    object["region"] = region.name();
    object["clean"] = report.is_clean();
    object["exact"] = report.exact;
    object["in_motion"] = report.in_motion;
    object["passes"] = report.passes;
    object["violation_count"] = report.violation_count;
    add_space(object, report.total);
    object["orphans"] = report.orphans;
    object["kept_blocks"] = report.kept.blocks;
    object["allocations"] = report.allocations;
    object["frees"] = report.frees;
    object["block_difference"] = report.block_difference;
    json::array& violations = object["violations"].emplace_array();
    for (const region::Violation& one : report.violations) {
      violations.push_back(violation_json(one));
    }
    out += json::serialize(object);
    return true;
  }
};

class SessionsAnswer final : public AuditedAnswer {
 public:
  SessionsAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : AuditedAnswer(query, std::move(context), std::move(regions), 1) {}

 private:
  bool write_region(core::RegionCore& region, const region::AuditReport& report,
                    std::string& out) override {
    if (!list_.is_begun()) list_.begin(out, region.name(), "sessions");
    auto it = region.sessions().lower_bound(next_);
    for (std::size_t i = 0; i < kControlSliceItems && it != region.sessions().end(); ++i, ++it) {
      list_.add(out, session_json(region, it->first, it->second, sums_of(report, it->first)));
      next_ = it->first + 1;
    }
    if (it != region.sessions().end()) return false;
    list_.end(out);
    next_ = 0;
    return true;
  }

  static region::SessionSums sums_of(const region::AuditReport& report, std::uint32_t id) {
    const auto found = std::lower_bound(report.sessions.begin(), report.sessions.end(), id,
                                        [](const region::SessionSums& sums, std::uint32_t wanted) {
                                          return sums.session < wanted;
                                        });
    return found != report.sessions.end() && found->session == id ? *found : region::SessionSums{};
  }

  ItemList list_;
  std::uint32_t next_ = 0;
};

}  // namespace

std::unique_ptr<ControlRequest> make_audited_answer(const ControlQuery& query,
                                                    ControlContext context, Regions regions) {
  switch (query.kind) {
    case ControlQuery::Kind::kSessions:
      return std::make_unique<SessionsAnswer>(query, std::move(context), std::move(regions));
    case ControlQuery::Kind::kCheck:
      return std::make_unique<CheckAnswer>(query, std::move(context), std::move(regions));
    default: return std::make_unique<StatsAnswer>(query, std::move(context), std::move(regions));
  }
}

}  // namespace allot::daemon
