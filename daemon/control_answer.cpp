#include "daemon/control_answer.hpp"

#include <algorithm>
#include <utility>

#include <boost/json/serialize.hpp>

namespace allot::daemon {

namespace json = boost::json;

RegionAnswer::RegionAnswer(const ControlQuery& query, ControlContext context, Regions regions)
    : context_(std::move(context)), regions_(std::move(regions)) {
  text_ = "{\"ok\":true,\"request\":\"" + std::string(query_name(query.kind)) + "\",\"regions\":[";
}

std::optional<std::string> RegionAnswer::step() {
  if (next_region_ < regions_.size()) {
    if (!step_region(*regions_[next_region_], text_)) return std::nullopt;
    if (++next_region_ < regions_.size()) text_ += ',';
    return std::nullopt;
  }
  text_ += "]}\n";
  return std::move(text_);
}

std::uint64_t RegionAnswer::window_granules(const core::RegionCore& region) const {
  return std::min(context_.window_granules(region), region.high_water_granules());
}

std::uint32_t RegionAnswer::heap_window(const core::RegionCore& region) const {
  return context_.heap_window(region);
}

void ItemList::begin(std::string& out, const std::string& region, std::string_view key) {
  out += "{\"region\":" + json::serialize(json::string_view(region.data(), region.size())) + ",\"" +
         std::string(key) + "\":[";
  begun_ = true;
  any_ = false;
}

void ItemList::add(std::string& out, const json::object& item) {
  if (std::exchange(any_, true)) out += ',';
  out += json::serialize(item);
}

void ItemList::end(std::string& out, const json::object& rest) {
  out += ']';
  for (const json::key_value_pair& member : rest) {
    out += ',' + json::serialize(member.key()) + ':' + json::serialize(member.value());
  }
  out += '}';
  begun_ = false;
}

}  // namespace allot::daemon
