#include "daemon/control_lists.hpp"

#include <utility>

#include "daemon/control_json.hpp"
#include "daemon/counting_sink.hpp"
#include "daemon/name_walk.hpp"
#include "shared/region/arena_note.hpp"
#include "shared/region/span_walk.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

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
  CountingSink faults_;
  ItemList list_;
  std::optional<region::SpanWalk> walk_;
  std::uint64_t spans_ = 0;  // of this region
};

class NamesAnswer final : public RegionAnswer {
 public:
  using RegionAnswer::RegionAnswer;

 private:
  bool step_region(core::RegionCore& region, std::string& out) override {
    if (!list_.is_begun()) {
      list_.begin(out, region.name(), "names");
      walk_ = {};
    }
    const auto add = [&](const std::string& name, const core::RegionCore::NameRecord& record) {
      list_.add(out, name_json(region, name, record));
    };
    if (!walk_.step(region, kControlSliceItems, add)) return false;
    list_.end(out);
    return true;
  }

  ItemList list_;
  NameWalk walk_;
};

// Arenas: first those that processes share, by name; then those of one process, by the notes in its
// spans.
class ArenasAnswer final : public RegionAnswer {
 public:
  using RegionAnswer::RegionAnswer;

 private:
  bool step_region(core::RegionCore& region, std::string& out) override {
    if (!list_.is_begun()) {
      list_.begin(out, region.name(), "arenas");
      names_ = {};
      shared_done_ = false;
      next_granule_ = 0;
      notes_ = 0;
    }
    if (!shared_done_) {
      const auto add = [&](const std::string& name, const core::RegionCore::NameRecord& record) {
        const json::object item = arena_json(region, name, record);
        if (!item.empty()) list_.add(out, item);
      };
      // Each has thousands of words to look at.
      shared_done_ = names_.step(region, 4, add);
      return false;
    }
    for (std::size_t spans = 0; spans < kSpansPerSlice; ++spans) {
      const core::Extent* const extent = region.extents().at_or_after(next_granule_);
      const bool at_end = extent == nullptr || extent->first() >= window_granules(region);
      if (at_end || notes_ >= kMaxNotes) {
        json::object rest;
        rest["more"] = !at_end;
        list_.end(out, rest);
        return true;
      }
      next_granule_ = extent->end();
      if (extent->is_span() && add_notes(region, *extent, out)) return false;
    }
    return false;
  }

  // True if the span has a block of notes: enough for one slice.
  bool add_notes(const core::RegionCore& region, const core::Extent& extent, std::string& out) {
    const auto* const records = region::find_notes(region.view(), extent.first());
    if (records == nullptr) return false;
    for (std::uint32_t i = 0; i < region::ArenaNoteWords::kRecords; ++i) {
      const auto note =
          region::read_note(records + std::size_t{i} * region::ArenaNoteWords::kStride);
      if (!note) continue;
      list_.add(out, note_json(*note, extent.info));
      ++notes_;
    }
    return true;
  }

  // To look at one costs a few cache lines.
  static constexpr std::size_t kSpansPerSlice = kControlSliceWords / 64;
  // Of a region in one answer: members write them, as many as they have memory.
  static constexpr std::size_t kMaxNotes = 4096;

  ItemList list_;
  NameWalk names_;
  bool shared_done_ = false;
  std::uint32_t next_granule_ = 0;
  std::size_t notes_ = 0;
};

}  // namespace

std::unique_ptr<ControlRequest> make_list_answer(const ControlQuery& query, ControlContext context,
                                                 Regions regions) {
  if (query.kind == ControlQuery::Kind::kSpans) {
    return std::make_unique<SpansAnswer>(query, std::move(context), std::move(regions));
  }
  if (query.kind == ControlQuery::Kind::kArenas) {
    return std::make_unique<ArenasAnswer>(query, std::move(context), std::move(regions));
  }
  return std::make_unique<NamesAnswer>(query, std::move(context), std::move(regions));
}

}  // namespace allot::daemon
