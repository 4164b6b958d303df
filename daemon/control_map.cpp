#include "daemon/control_map.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "daemon/control_json.hpp"
#include "daemon/map_sink.hpp"
#include "shared/region/span_walk.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

// Of a span whose blocks belong to many: the item says so much of it.
constexpr std::size_t kMaxOwnersOfSpan = 4;

// Who owns the blocks, those with most first; nothing where all belong to who has the span.
json::array owners_json(const region::SpanSums& span, const MapSink::Owners& owners) {
  json::array out;
  if (owners.empty() || (owners.size() == 1 && owners.contains(span.span.head.session))) return out;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> by_blocks;
  for (const auto& [session, sums] : owners) by_blocks.emplace_back(session, sums.blocks);
  const auto shown = std::min(by_blocks.size(), kMaxOwnersOfSpan);
  std::partial_sort(by_blocks.begin(), by_blocks.begin() + static_cast<std::ptrdiff_t>(shown),
                    by_blocks.end(),
                    [](const auto& a, const auto& b) { return a.second > b.second; });
  for (std::size_t i = 0; i < shown; ++i) {
    out.push_back({{"session", by_blocks[i].first}, {"blocks", by_blocks[i].second}});
  }
  return out;
}

class MapAnswer final : public RegionAnswer {
 public:
  MapAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : RegionAnswer(query, std::move(context), std::move(regions)),
        first_(query.first_granule),
        limit_(query.limit) {}

 private:
  // What one session has to do with the spans of this page.
  struct OwnerOfPage {
    std::uint64_t spans = 0;
    std::uint64_t span_bytes = 0;
    region::OwnerSums owned;
  };

  bool step_region(core::RegionCore& region, std::string& out) override {
    if (!list_.is_begun()) begin(region, out);
    sink_->begin_slice();
    if (!items_done_) {
      items_done_ = step_items(region, out);
      return false;
    }
    return step_owners(region, out);
  }

  void begin(const core::RegionCore& region, std::string& out) {
    list_.begin(out, region.name(), "items");
    sink_.emplace(region, [this, &region] { return window_granules(region); });
    cursor_ = std::min<std::uint64_t>(first_, region.view().granules());
    gap_end_ = cursor_;
    walk_.emplace(region.view(), cursor_, window_granules(region), *sink_);
    span_.reset();
    at_end_ = items_done_ = false;
    items_ = 0;
    owners_.clear();
    owners_text_.clear();
  }

  // True when the page is full or the region is at its end. A span that was found belongs to the
  // page, and so do its violations: the page ends behind it.
  bool step_items(core::RegionCore& region, std::string& out) {
    std::uint64_t budget = kControlSliceWords;
    for (std::size_t in_slice = 0; in_slice < kControlSliceItems;) {
      if (cursor_ < gap_end_) {
        add_gap(region, out);
      } else if (span_) {
        add_span(region, out);
      } else if (at_end_ || items_ >= limit_) {
        return true;
      } else {
        switch (walk_->step(budget)) {
          case region::SpanWalk::Step::kBusy: return false;
          case region::SpanWalk::Step::kEnd:
            at_end_ = true;
            gap_end_ = region.view().granules();
            break;
          case region::SpanWalk::Step::kSpan:
            span_ = walk_->span();
            met_ = sink_->take_span(*span_);
            gap_end_ = span_->span.first;
            break;
        }
        continue;
      }
      ++in_slice;
      ++items_;
    }
    return false;
  }

  // What the daemon has on the granules between two spans, as far as that goes at once.
  void add_gap(core::RegionCore& region, std::string& out) {
    const auto first = static_cast<std::uint32_t>(cursor_);
    const core::Extent* const extent = region.extents().at_or_after(first);
    const std::uint64_t end = std::min<std::uint64_t>(extent->end(), gap_end_);
    json::object item;
    item["first"] = cursor_;
    item["granules"] = end - cursor_;
    // A span here was granted, given back or carved while it was read; or its descriptor is wrong.
    item["kind"] = extent->is_free() ? "free" : extent->is_reserved() ? "reserved" : "moving";
    if (extent->is_reserved()) item["session"] = region.reserved_for(first);
    list_.add(out, item);
    cursor_ = end;
  }

  void add_span(core::RegionCore& region, std::string& out) {
    json::object item = span_json(region, *span_);
    item["kind"] = span_kind(span_->carving);
    item["violations"] = met_.violations;
    json::array owners = owners_json(*span_, met_.owners);
    if (!owners.empty()) item["owners"] = std::move(owners);
    list_.add(out, item);
    const region::SpanDescriptor& head = span_->span.head;
    if (head.state == region::SpanState::kGranted) {
      OwnerOfPage& owner = owners_[head.session];
      ++owner.spans;
      owner.span_bytes += span_->space.granted_bytes;
    }
    for (const auto& [session, sums] : met_.owners) owners_[session].owned += sums;
    cursor_ = std::uint64_t{span_->span.first} + head.granules;
    gap_end_ = cursor_;
    span_.reset();
  }

  bool step_owners(core::RegionCore& region, std::string& out) {
    for (std::size_t i = 0; i < kControlSliceItems && !owners_.empty(); ++i) {
      const auto node = owners_.extract(owners_.begin());
      owners_text_ += (owners_text_.empty() ? "" : ",") +
                      json::serialize(owner_json(region, node.key(), node.mapped()));
    }
    if (!owners_.empty()) return false;
    finish(region, out);
    return true;
  }

  static json::object owner_json(const core::RegionCore& region, std::uint32_t id,
                                 const OwnerOfPage& owner) {
    region::SessionSums sums;
    sums.owned = owner.owned;
    json::object item;
    if (const auto* const record = region.session(id); record != nullptr) {
      item = session_json(region, id, *record, sums);
      // What would need more than the spans of this page.
      for (const char* const key : {"cached_bytes", "tail_bytes", "allocations", "frees"}) {
        item.erase(key);
      }
    } else {
      item["session"] = id;
      item["state"] = "gone";
      item["live_bytes"] = owner.owned.live_bytes;
      item["live_blocks"] = owner.owned.blocks;
    }
    item["page_spans"] = owner.spans;
    item["page_bytes"] = owner.span_bytes;
    return item;
  }

  void finish(core::RegionCore& region, std::string& out) {
    const std::uint64_t granules = region.view().granules();
    const core::Extent& last =
        *region.extents().at_or_after(static_cast<std::uint32_t>(granules - 1));
    json::object rest;
    rest["granules"] = granules;
    rest["granule_bytes"] = region::kGranuleBytes;
    rest["high_water_granules"] = region.high_water_granules();
    rest["used_granules"] = last.is_free() ? last.first() : granules;
    rest["next"] = cursor_ < granules ? json::value(cursor_) : json::value();
    rest["moved"] = walk_->moved();
    rest["violation_count"] = sink_->violation_count();
    json::array& violations = rest["violations"].emplace_array();
    for (const region::Violation& one : sink_->violations()) {
      violations.push_back(violation_json(one));
    }
    list_.end(out, rest);
    out.insert(out.size() - 1, ",\"owners\":[" + owners_text_ + "]");
  }

  std::uint64_t first_;
  std::uint64_t limit_;
  ItemList list_;
  std::optional<MapSink> sink_;
  std::optional<region::SpanWalk> walk_;
  std::optional<region::SpanSums> span_;  // found, and not in the list yet
  MapSink::OfSpan met_;                   // with that
  std::uint64_t cursor_ = 0;              // all below is in the list
  std::uint64_t gap_end_ = 0;             // no span lies from the cursor to here
  bool at_end_ = false;
  bool items_done_ = false;
  std::uint64_t items_ = 0;
  std::map<std::uint32_t, OwnerOfPage> owners_;
  std::string owners_text_;
};

}  // namespace

std::unique_ptr<ControlRequest> make_map_answer(const ControlQuery& query, ControlContext context,
                                                Regions regions) {
  return std::make_unique<MapAnswer>(query, std::move(context), std::move(regions));
}

}  // namespace allot::daemon
