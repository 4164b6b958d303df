#include "daemon/control_holders.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "daemon/control_holdings.hpp"
#include "daemon/control_json.hpp"
#include "daemon/name_walk.hpp"

namespace allot::daemon {

namespace json = boost::json;

using detail::OwnWord;

namespace {

const char* block_state(std::uint32_t word) noexcept {
  if (OwnWord::is_session(word)) return OwnWord::is_offered(word) ? "offered" : "live";
  constexpr std::array<const char*, 5> kStates = {"invalid", "free", "freed", "kept", "taken"};
  const std::uint32_t owner = OwnWord::owner(word);
  return owner < kStates.size() ? kStates.at(owner) : "unknown";
}

json::value span_of_block(core::RegionCore& region, const region::BlockRef& block) {
  const region::SpanRef& span = block.span;
  const bool is_granted = span.head.state == region::SpanState::kGranted;
  json::object out;
  out["first"] = span.first;
  out["granules"] = span.head.granules;
  out["state"] = is_granted ? "granted" : "orphan";
  out["kind"] = span_kind(block.carving);
  out["bin"] = block.carving.bin;
  out["block_bytes"] = block.carving.block_bytes;
  out["blocks"] = block.carving.block_count;
  if (const core::Extent* const extent = region.extents().find(span.first); extent != nullptr) {
    out["uid"] = extent->info.uid;
    out["granted_unix_ns"] = extent->info.granted_unix_ns;
  }
  out["holder"] = is_granted ? json::value(holder_json(region, span.head.session)) : json::value();
  return out;
}

// One block: found when it is asked for; who has it pinned is told in slices.
class BlockAnswer final : public RegionAnswer {
 public:
  BlockAnswer(const ControlQuery& query, ControlContext context, core::RegionCore& region,
              const region::BlockRef& block, std::uint32_t word)
      : RegionAnswer(query, std::move(context), {&region}) {
    const Handle handle = *query.handle;
    rest_["handle"] = hex_text(handle.bits());
    rest_["state"] = block_state(word);
    rest_["exposed"] = OwnWord::is_exposed(word);
    rest_["size_bytes"] = block.carving.block_bytes;
    rest_["index"] = block.index;
    rest_["owner"] = OwnWord::is_session(word)
                         ? json::value(holder_json(region, OwnWord::owner(word)))
                         : json::value();
    rest_["span"] = span_of_block(region, block);
    rest_["published"] = json::value();
    NameWalk names;
    const auto look_at = [&](const std::string& name, const core::RegionCore::NameRecord& record) {
      if (record.handle != handle) return;
      rest_["published"] = name_json(region, name, record);
      pins_.assign(record.pins.begin(), record.pins.end());
    };
    (void)names.step(region, region::kNameLimit, look_at);
  }

 private:
  bool step_region(core::RegionCore& region, std::string& out) override {
    if (!list_.is_begun()) list_.begin(out, region.name(), "pins");
    for (std::size_t items = 0; items < kControlSliceItems && next_ < pins_.size(); ++items) {
      list_.add(out, holder_json(region, pins_[next_++]));
    }
    if (next_ < pins_.size()) return false;
    list_.end(out, rest_);
    return true;
  }

  json::object rest_;
  std::vector<std::uint32_t> pins_;
  std::size_t next_ = 0;
  ItemList list_;
};

std::string names_of(const Regions& regions) {
  std::string out;
  for (const core::RegionCore* const one : regions) out += (out.empty() ? "" : ", ") + one->name();
  return out;
}

}  // namespace

Expected<std::unique_ptr<ControlRequest>> make_holders_answer(const ControlQuery& query,
                                                              ControlContext context,
                                                              Regions regions) {
  if (!query.handle) {
    const std::string known = names_of(regions);
    std::erase_if(regions, [&](const core::RegionCore* region) {
      const auto* const record = region->session(query.session);
      return record == nullptr ||
             (query.incarnation != 0 && record->incarnation != query.incarnation);
    });
    if (!regions.empty()) {
      return make_holdings_answer(query, std::move(context), std::move(regions));
    }
    const std::string incarnation =
        query.incarnation == 0 ? "" : "." + std::to_string(query.incarnation);
    return Error(Errc::kUnknownSession,
                 std::to_string(query.session) + incarnation + "; looked at: " + known);
  }
  const Handle handle = *query.handle;
  const std::string text = hex_text(handle.bits());
  const auto found = std::find_if(regions.begin(), regions.end(), [&](const auto* region) {
    return region->tag() == handle.region_tag();
  });
  if (found == regions.end()) {
    return Error(Errc::kForeignRegion, text + "; looked at: " + names_of(regions));
  }
  core::RegionCore& region = **found;
  const std::uint64_t window =
      std::min(context.window_granules(region), region.high_water_granules());
  region::BlockRef block;
  if (const Errc failed = region.view().find_block(handle.offset_bytes(), window, block);
      failed != Errc::kOk) {
    const bool is_outside =
        handle.offset_bytes() / region::kGranuleBytes >= region.view().granules();
    return Error(is_outside ? Errc::kNotInRegion : Errc::kStaleHandle, text);
  }
  // A member's word: read once.
  const std::uint32_t word = block.word->load_acquire();
  if (OwnWord::generation(word) != handle.generation()) return Error(Errc::kStaleHandle, text);
  return std::make_unique<BlockAnswer>(query, std::move(context), region, block, word);
}

}  // namespace allot::daemon
