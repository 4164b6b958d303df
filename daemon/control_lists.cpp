#include "daemon/control_lists.hpp"

#include <utility>

#include "daemon/control_json.hpp"
#include "shared/region/span_walk.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

// Counting is enough here; what is wrong is the business of check.
class NoFaults final : public region::SpanSink {
 public:
  void on_violation(const region::Violation& /*violation*/) override {}
  void on_owned(std::uint32_t /*session*/, const region::OwnerSums& /*blocks*/) override {}
  bool on_kept(std::uint64_t /*offset_bytes*/, std::uint32_t /*word*/,
               std::uint64_t /*block_bytes*/) override {
    return true;
  }
  bool is_present(std::uint32_t /*session*/) override { return true; }
  std::uint64_t present_limit_granules() override { return 0; }
};

class SpansAnswer final : public RegionAnswer {
 public:
  SpansAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : RegionAnswer(query, std::move(context), std::move(regions)),
        first_(query.first_granule),
        limit_(query.limit) {}

 private:
  bool step_region(core::RegionCore& region, std::string& out) override {
    if (!list_.is_begun()) {
      list_.begin(out, region.name(), "spans");
      walk_.emplace(region.view(), first_, window_granules(region), faults_);
      spans_ = 0;
    }
    std::uint64_t budget = kControlSliceWords;
    for (std::size_t items = 0; items < kControlSliceItems && spans_ < limit_; ++items) {
      switch (walk_->step(budget)) {
        case region::SpanWalk::Step::kBusy: return false;
        case region::SpanWalk::Step::kEnd: return finish_region(out, true);
        case region::SpanWalk::Step::kSpan: break;
      }
      list_.add(out, span_json(region, walk_->span()));
      ++spans_;
    }
    return spans_ == limit_ && finish_region(out, false);
  }

  bool finish_region(std::string& out, bool at_end) {
    json::object rest;
    rest["next"] = at_end ? json::value() : json::value(walk_->next_granule());
    list_.end(out, rest);
    return true;
  }

  std::uint64_t first_;
  std::uint64_t limit_;
  NoFaults faults_;
  ItemList list_;
  std::optional<region::SpanWalk> walk_;
  std::uint64_t spans_ = 0;  // of this region
};

// Names, or those of them that are arenas.
class NamesAnswer final : public RegionAnswer {
 public:
  NamesAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : RegionAnswer(query, std::move(context), std::move(regions)),
        arenas_(query.kind == ControlQuery::Kind::kArenas) {}

 private:
  bool step_region(core::RegionCore& region, std::string& out) override {
    if (!list_.is_begun()) list_.begin(out, region.name(), arenas_ ? "arenas" : "names");
    // An arena has thousands of words to look at.
    const std::size_t cost = arenas_ ? kControlSliceItems / 4 : 1;
    std::size_t items = 0;
    auto it = region.names().upper_bound(last_);
    for (; items < kControlSliceItems && it != region.names().end(); items += cost, ++it) {
      add(region, it->first, it->second, out);
      last_ = it->first;
    }
    for (; items < kControlSliceItems && next_hidden_ < region.hidden_names().size();
         items += cost) {
      add(region, "", region.hidden_names()[next_hidden_++], out);
    }
    if (items >= kControlSliceItems) return false;
    list_.end(out);
    last_.clear();
    next_hidden_ = 0;
    return true;
  }

  void add(const core::RegionCore& region, const std::string& name,
           const core::RegionCore::NameRecord& record, std::string& out) {
    const json::object item =
        arenas_ ? arena_json(region, name, record) : name_json(region, name, record);
    if (!item.empty()) list_.add(out, item);
  }

  bool arenas_;
  ItemList list_;
  std::string last_;
  std::size_t next_hidden_ = 0;
};

}  // namespace

std::unique_ptr<ControlRequest> make_list_answer(const ControlQuery& query, ControlContext context,
                                                 Regions regions) {
  if (query.kind == ControlQuery::Kind::kSpans) {
    return std::make_unique<SpansAnswer>(query, std::move(context), std::move(regions));
  }
  return std::make_unique<NamesAnswer>(query, std::move(context), std::move(regions));
}

}  // namespace allot::daemon
