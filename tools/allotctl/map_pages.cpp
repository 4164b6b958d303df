#include "tools/allotctl/map_pages.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "tools/allotctl/answer.hpp"
#include "tools/allotctl/control_client.hpp"
#include "tools/allotctl/drawing/plain_text.hpp"
#include "tools/allotctl/table.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

constexpr std::uint64_t kPageItems = 10'000;

std::uint64_t page_limit(const Options& options) {
  return options.limit == 0 ? kPageItems : std::min(options.limit, kPageItems);
}

Expected<json::object> ask(ControlClient& client, const json::object& request) {
  auto answer = client.ask(request);
  if (!answer) return answer.error();
  if (auto ok = check_ok(*answer); !ok) return ok.error();
  return answer;
}

json::array* array_of(json::object& object, const char* key) {
  json::value* const found = object.if_contains(key);
  return found != nullptr && found->is_array() ? &found->get_array() : nullptr;
}

// Where the next page begins; an error if this one, from `first` on, is none or leads nowhere.
Expected<std::optional<std::uint64_t>> next_of(const json::object& page, std::uint64_t first) {
  const json::value* const items = page.if_contains("items");
  if (items == nullptr || !items->is_array()) {
    return Error(Errc::kBadMessage, "a region without items; is the daemon of another version?");
  }
  const json::value* const next = page.if_contains("next");
  if (next == nullptr || !next->is_number()) return std::optional<std::uint64_t>();
  const std::uint64_t granule = number_of(page, "next");
  if (granule <= first) return Error(Errc::kBadMessage, "a page of the map that leads nowhere");
  return std::optional<std::uint64_t>(granule);
}

SpanKind kind_of(const std::string& name) {
  const auto* const found = std::find(kSpanKindNames.begin(), kSpanKindNames.end(), name);
  if (found == kSpanKindNames.end()) return SpanKind::kMoving;
  return static_cast<SpanKind>(found - kSpanKindNames.begin());
}

std::uint32_t session_of(const json::object& object) {
  return static_cast<std::uint32_t>(number_of(object, "session"));
}

RegionMap::Head head_of(const json::object& page) {
  return {plain_text(text_of(page, "region")), number_of(page, "granules"),
          number_of(page, "granule_bytes"), number_of(page, "used_granules"), unix_now_ns()};
}

MapItem item_of(const json::object& one) {
  MapItem item;
  item.first = number_of(one, "first");
  item.granules = number_of(one, "granules");
  item.kind = kind_of(text_of(one, "kind"));
  item.orphan = text_of(one, "state") == "orphan";
  item.session = session_of(one);
  item.block_bytes = number_of(one, "block_bytes");
  item.blocks = number_of(one, "blocks");
  item.live_blocks = number_of(one, "live_blocks");
  item.granted_bytes = number_of(one, "granted_bytes");
  item.live_bytes = number_of(one, "live_bytes");
  item.granted_unix_ns = number_of(one, "granted_unix_ns");
  item.violations = number_of(one, "violations");
  for (const json::object* const owner : list_of(one, "owners")) {
    item.owners.emplace_back(session_of(*owner), number_of(*owner, "blocks"));
  }
  return item;
}

MapOwner owner_of(const json::object& one) {
  MapOwner owner;
  owner.session = session_of(one);
  owner.incarnation = number_of(one, "incarnation");
  owner.state = plain_text(text_of(one, "state"));
  owner.label = plain_text(text_of(one, "label"));
  owner.pid = number_of(one, "pid");
  owner.uid = number_of(one, "uid");
  owner.spans = number_of(one, "page_spans");
  owner.span_bytes = number_of(one, "page_bytes");
  owner.live_bytes = number_of(one, "live_bytes");
  owner.live_blocks = number_of(one, "live_blocks");
  return owner;
}

void add_page(RegionMap& map, const json::object& page) {
  for (const json::object* const one : list_of(page, "items")) map.add(item_of(*one));
  for (const json::object* const one : list_of(page, "owners")) map.add(owner_of(*one));
  for (const json::object* const one : list_of(page, "violations")) {
    map.add(MapViolation{number_of(*one, "granule"), plain_text(text_of(*one, "text"))});
  }
  map.add_violations(number_of(page, "violation_count"));
}

void append(json::object& to, json::object& from, const char* key) {
  json::array* const have = array_of(to, key);
  json::array* const more = array_of(from, key);
  if (have == nullptr || more == nullptr) return;
  for (json::value& one : *more) have->push_back(std::move(one));
}

// Adds what `from` says of a session to what `to` says of it.
void append_owners(json::object& to, json::object& from) {
  json::array* const have = array_of(to, "owners");
  json::array* const more = array_of(from, "owners");
  if (have == nullptr || more == nullptr) return;
  std::map<std::uint64_t, json::object*> known;
  have->reserve(have->size() + more->size());
  for (json::value& one : *have) {
    if (one.is_object()) known[session_of(one.get_object())] = &one.get_object();
  }
  for (json::value& one : *more) {
    if (!one.is_object()) continue;
    const auto found = known.find(session_of(one.get_object()));
    if (found == known.end()) {
      have->push_back(std::move(one));
      continue;
    }
    for (const char* const key : {"page_spans", "page_bytes", "live_bytes", "live_blocks",
                                  "offered_blocks", "exposed_blocks"}) {
      (*found->second)[key] = number_of(*found->second, key) + number_of(one.get_object(), key);
    }
  }
}

}  // namespace

Expected<void> ask_map_pages(
    const Options& options,
    const std::function<bool(json::object& page, bool begins_region)>& take) {
  auto client = ControlClient::connect(options);
  if (!client) return client.error();
  json::object request = request_of("map", options);
  request["limit"] = page_limit(options);
  auto answer = ask(*client, request);
  if (!answer) return answer.error();
  json::array* const regions = array_of(*answer, "regions");
  if (regions == nullptr) return Error(Errc::kBadMessage, "an answer without regions");
  for (json::value& region : *regions) {
    if (!region.is_object()) continue;
    json::object page = std::move(region.get_object());
    request["region"] = text_of(page, "region");
    std::uint64_t first = 0;
    for (bool begins = true;; begins = false) {
      auto next = next_of(page, first);
      if (!next) return next.error();
      if (!take(page, begins) || !*next) break;
      first = **next;
      request["first"] = first;
      auto more = ask(*client, request);
      if (!more) return more.error();
      json::array* const one = array_of(*more, "regions");
      if (one == nullptr || one->empty() || !(*one)[0].is_object()) {
        return Error(Errc::kBadMessage, "a page of the map without its region");
      }
      page = std::move((*one)[0].get_object());
    }
  }
  return {};
}

Expected<std::vector<RegionMap>> gather_maps(const Options& options, std::size_t max_cells) {
  std::vector<RegionMap> maps;
  Options all = options;
  all.limit = 0;
  const auto done = ask_map_pages(all, [&](json::object& page, bool begins) {
    if (begins) maps.emplace_back(head_of(page), max_cells);
    add_page(maps.back(), page);
    return true;
  });
  if (!done) return done.error();
  return maps;
}

Expected<json::object> gather_map_json(const Options& options) {
  json::object out;
  out["ok"] = true;
  out["request"] = "map";
  json::array regions;
  const auto done = ask_map_pages(options, [&](json::object& page, bool begins) {
    if (begins) {
      regions.emplace_back(std::move(page));
    } else {
      json::object& region = regions.back().get_object();
      append(region, page, "items");
      append(region, page, "violations");
      append_owners(region, page);
      region["violation_count"] =
          number_of(region, "violation_count") + number_of(page, "violation_count");
      region["moved"] = flag_of(region, "moved") || flag_of(page, "moved");
      if (const json::value* const next = page.if_contains("next")) region["next"] = *next;
    }
    const json::array* const items = array_of(regions.back().get_object(), "items");
    return items != nullptr && (options.limit == 0 || items->size() < options.limit);
  });
  if (!done) return done.error();
  out["regions"] = std::move(regions);
  return out;
}

}  // namespace allot::ctl
