#include "daemon/control_audits.hpp"

#include <algorithm>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "daemon/clock.hpp"
#include "daemon/control_json.hpp"
#include "daemon/control_ladder.hpp"
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
    if (audit_ == nullptr && !prepare_region(region)) return false;
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

  /// One slice of what is done to the region before it is audited; true when all is done.
  [[nodiscard]] virtual bool prepare_region(core::RegionCore& /*region*/) { return true; }

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
  bool write_region(core::RegionCore& region, const region::AuditReport& report,
                    std::string& out) override {
    out += json::serialize(ladder_json(context(), region, report));
    return true;
  }
};

class CheckAnswer final : public AuditedAnswer {
 public:
  CheckAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : AuditedAnswer(query, std::move(context), std::move(regions), region::Audit::kDefaultPasses),
        repair_(query.repair) {}

 private:
  bool prepare_region(core::RegionCore& region) override {
    if (!repair_) return true;
    const bool is_done =
        region.repair_step(next_granule_, kControlSliceWords, monotonic_now_ns(), repairs_);
    if (is_done) context().changed();
    return is_done;
  }

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
    if (repair_) {
      object["orphaned_spans"] = repairs_.orphaned_spans;
      object["rewritten_spans"] = repairs_.rewritten_spans;
      object["freed_blocks"] = repairs_.freed_blocks;
      repairs_ = {};
      next_granule_ = 0;
    }
    json::array& violations = object["violations"].emplace_array();
    for (const region::Violation& one : report.violations) {
      violations.push_back(violation_json(one));
    }
    out += json::serialize(object);
    return true;
  }

  bool repair_;
  core::RegionCore::Repairs repairs_;
  std::uint32_t next_granule_ = 0;
};

// Sessions; and for `top` the ladder behind them, of one and the same reading.
class SessionsAnswer final : public AuditedAnswer {
 public:
  SessionsAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : AuditedAnswer(query, std::move(context), std::move(regions), 1),
        with_ladder_(query.kind == ControlQuery::Kind::kTop) {}

 private:
  bool write_region(core::RegionCore& region, const region::AuditReport& report,
                    std::string& out) override {
    if (!list_.is_begun()) {
      list_.begin(out, region.name(), "sessions");
      if (with_ladder_) rest_ = top_json(region, report);
    }
    auto it = region.sessions().lower_bound(next_);
    for (std::size_t i = 0; i < kControlSliceItems && it != region.sessions().end(); ++i, ++it) {
      list_.add(out, session_json(region, it->first, it->second, sums_of(report, it->first)));
      next_ = it->first + 1;
    }
    if (it != region.sessions().end()) return false;
    list_.end(out, rest_);
    next_ = 0;
    return true;
  }

  json::object top_json(const core::RegionCore& region, const region::AuditReport& report) const {
    json::object out = ladder_json(context(), region, report);
    out.erase("region");    // the list's own
    out.erase("sessions");  // their number
    out["now_unix_ns"] = unix_now_ns();
    out["now_monotonic_ns"] = monotonic_now_ns();
    return out;
  }

  static region::SessionSums sums_of(const region::AuditReport& report, std::uint32_t id) {
    const auto found = std::lower_bound(report.sessions.begin(), report.sessions.end(), id,
                                        [](const region::SessionSums& sums, std::uint32_t wanted) {
                                          return sums.session < wanted;
                                        });
    return found != report.sessions.end() && found->session == id ? *found : region::SessionSums{};
  }

  bool with_ladder_;
  json::object rest_;
  ItemList list_;
  std::uint32_t next_ = 0;
};

}  // namespace

std::unique_ptr<ControlRequest> make_audited_answer(const ControlQuery& query,
                                                    ControlContext context, Regions regions) {
  switch (query.kind) {
    case ControlQuery::Kind::kSessions:
    case ControlQuery::Kind::kTop:
      return std::make_unique<SessionsAnswer>(query, std::move(context), std::move(regions));
    case ControlQuery::Kind::kCheck:
      return std::make_unique<CheckAnswer>(query, std::move(context), std::move(regions));
    default: return std::make_unique<StatsAnswer>(query, std::move(context), std::move(regions));
  }
}

}  // namespace allot::daemon
