#include "daemon/control_requests.hpp"

#include <utility>

#include <boost/json/object.hpp>

#include <allot/version.hpp>

#include "daemon/clock.hpp"
#include "daemon/control_audits.hpp"
#include "daemon/control_bins.hpp"
#include "daemon/control_holders.hpp"
#include "daemon/control_json.hpp"
#include "daemon/control_lists.hpp"
#include "daemon/control_map.hpp"
#include "daemon/control_query.hpp"
#include "daemon/log.hpp"
#include "shared/protocol/message.hpp"
#include "shared/region/layout.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

using Kind = ControlQuery::Kind;

// What is known at once.
class ReadyAnswer final : public ControlRequest {
 public:
  explicit ReadyAnswer(std::string line) : line_(std::move(line)) {}
  std::optional<std::string> step() override { return std::move(line_); }

 private:
  std::string line_;
};

std::unique_ptr<ControlRequest> ready(std::string line) {
  return std::make_unique<ReadyAnswer>(std::move(line));
}

std::string version_line(const ControlContext& context) {
  const ServerStatus status = context.status();
  json::object out;
  out["ok"] = true;
  out["request"] = "version";
  out["version"] = ALLOT_VERSION_STRING;
  out["protocol"] = protocol::kProtocolVersion;
  // As a string: many readers of JSON keep only 53 bits of a number.
  out["fingerprint"] = hex_text(region::fingerprint());
  out["started_unix_ns"] = status.started_unix_ns;
  out["connections"] = status.connections;
  out["bad_peers"] = status.bad_peers;
  out["runtime_dir"] = status.runtime_dir;
  return answer_line(out);
}

std::string unpublish_line(const ControlQuery& query, core::RegionCore& region,
                           const ControlContext& context) {
  const auto done = region.unpublish(0, query.name, *query.handle, true, monotonic_now_ns());
  if (!done) return error_line(done.error());
  context.changed();
  json::object out;
  out["ok"] = true;
  out["request"] = "unpublish";
  out["region"] = region.name();
  out["name"] = query.name;
  out["handle"] = hex_text(query.handle->bits());
  return answer_line(out);
}

Expected<Regions> regions_of(const ControlQuery& query, const core::Service& service) {
  Regions regions;
  if (!query.region) {
    for (const auto& region : service.regions()) regions.push_back(region.get());
    return regions;
  }
  core::RegionCore* const region = service.find_region(*query.region);
  if (region == nullptr) {
    std::string known;
    for (const auto& one : service.regions()) known += (known.empty() ? "" : ", ") + one->name();
    const std::string asked = one_line(query.region->substr(0, region::kRegionNameBytes));
    return Error(Errc::kUnknownRegion, "'" + asked + "'; there are: " + known);
  }
  regions.push_back(region);
  return regions;
}

}  // namespace

std::unique_ptr<ControlRequest> ControlRequest::parse(std::string_view line, const core::Peer& peer,
                                                      bool administrator, ControlContext context) {
  const auto query = ControlQuery::parse(line);
  if (!query) return ready(error_line(query.error()));
  if (query->kind == Kind::kVersion) return ready(version_line(context));
  if ((query->kind == Kind::kUnpublish || query->repair) && !administrator) {
    return ready(error_line(
        {Errc::kNotAllowed, "uid " + std::to_string(peer.uid) + " is not an administrator"}));
  }
  auto regions = regions_of(*query, *context.service);
  if (!regions) return ready(error_line(regions.error()));
  switch (query->kind) {
    case Kind::kUnpublish: return ready(unpublish_line(*query, *regions->front(), context));
    case Kind::kBins: return make_bins_answer(*query, std::move(context), std::move(*regions));
    case Kind::kHolders: {
      auto answer = make_holders_answer(*query, std::move(context), std::move(*regions));
      return answer ? std::move(*answer) : ready(error_line(answer.error()));
    }
    case Kind::kMap: return make_map_answer(*query, std::move(context), std::move(*regions));
    case Kind::kSpans:
    case Kind::kArenas:
    case Kind::kNames: return make_list_answer(*query, std::move(context), std::move(*regions));
    default: return make_audited_answer(*query, std::move(context), std::move(*regions));
  }
}

}  // namespace allot::daemon
