#include "daemon/control_holdings.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "daemon/control_json.hpp"
#include "daemon/name_walk.hpp"
#include "shared/region/span_walk.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

// What a walk meets of one session's blocks.
class OwnedSink final : public region::SpanSink {
 public:
  explicit OwnedSink(std::uint32_t session) : session_(session) {}
  /// Since the last call.
  [[nodiscard]] region::OwnerSums take() noexcept { return std::exchange(owned_, {}); }

  void on_violation(const region::Violation& /*violation*/) override {}
  void on_owned(std::uint32_t session, const region::OwnerSums& blocks) override {
    if (session == session_) owned_ += blocks;
  }
  bool on_kept(std::uint64_t /*offset_bytes*/, std::uint32_t /*word*/,
               std::uint64_t /*block_bytes*/) override {
    return true;
  }
  bool is_present(std::uint32_t /*session*/) override { return true; }
  std::uint64_t present_limit_granules() override { return 0; }

 private:
  std::uint32_t session_;
  region::OwnerSums owned_;
};

// One session, in each region that has one of this number.
class SessionAnswer final : public RegionAnswer {
 public:
  SessionAnswer(const ControlQuery& query, ControlContext context, Regions regions)
      : RegionAnswer(query, std::move(context), std::move(regions)),
        session_(query.session),
        sink_(query.session) {}

 private:
  enum class Stage : std::uint8_t { kBegin, kSpans, kReservations, kNames };
  struct OfKind {
    region::SpaceSums space;
    std::uint64_t oldest_unix_ns = 0;
  };

  bool step_region(core::RegionCore& region, std::string& out) override {
    switch (stage_) {
      case Stage::kBegin:
        begin(region);
        stage_ = Stage::kSpans;
        return false;
      case Stage::kSpans:
        if (count_spans(region)) stage_ = Stage::kReservations;
        return false;
      case Stage::kReservations:
        if (list_reservations(region)) stage_ = Stage::kNames;
        return false;
      case Stage::kNames: break;
    }
    if (!list_names(region)) return false;
    write(region, out);
    stage_ = Stage::kBegin;
    return true;
  }

  void begin(const core::RegionCore& region) {
    who_ = holder_json(region, session_);
    kinds_.clear();
    owned_ = {};
    owned_elsewhere_ = {};
    (void)sink_.take();
    walk_.emplace(region.view(), 0, window_granules(region), sink_);
    next_reservation_ = 0;
    names_walk_ = {};
    reservations_.clear();
    pins_.clear();
    names_.clear();
  }

  // True at the end of the region.
  bool count_spans(core::RegionCore& region) {
    std::uint64_t budget = kControlSliceWords;
    for (;;) {
      switch (walk_->step(budget)) {
        case region::SpanWalk::Step::kBusy: return false;
        case region::SpanWalk::Step::kEnd: return true;
        case region::SpanWalk::Step::kSpan: break;
      }
      const region::SpanSums& span = walk_->span();
      const region::OwnerSums owned = sink_.take();
      owned_ += owned;
      if (span.span.head.state != region::SpanState::kGranted ||
          span.span.head.session != session_) {
        owned_elsewhere_ += owned;
        continue;
      }
      OfKind& kind = kinds_[span_kind(span.carving)];
      kind.space += span.space;
      const core::Extent* const extent = region.extents().find(span.span.first);
      const std::uint64_t granted = extent == nullptr ? 0 : extent->info.granted_unix_ns;
      if (granted != 0 && (kind.oldest_unix_ns == 0 || granted < kind.oldest_unix_ns)) {
        kind.oldest_unix_ns = granted;
      }
    }
  }

  bool list_reservations(const core::RegionCore& region) {
    const auto* const record = region.session(session_);
    if (record == nullptr) return true;
    auto it = record->reservations.lower_bound(next_reservation_);
    for (std::size_t i = 0; i < kControlSliceItems && it != record->reservations.end(); ++i, ++it) {
      const std::uint64_t granules = region.reservation_granules(*it);
      append(reservations_, {{"first", *it},
                             {"granules", granules},
                             {"size_bytes", granules * region::kGranuleBytes}});
      next_reservation_ = *it + 1;
    }
    return it == record->reservations.end();
  }

  // A name belongs to the user who published it, and to no session.
  bool list_names(const core::RegionCore& region) {
    const auto* const record = region.session(session_);
    if (record == nullptr) return true;
    const uid_t uid = record->peer.uid;
    return names_walk_.step(region, kControlSliceItems,
                            [&](const std::string& name, const core::RegionCore::NameRecord& one) {
                              if (one.pins.contains(session_))
                                append(pins_, name_json(region, name, one));
                              if (one.uid == uid) append(names_, name_json(region, name, one));
                            });
  }

  static void append(std::string& list, const json::object& item) {
    if (!list.empty()) list += ',';
    list += json::serialize(item);
  }

  void write(const core::RegionCore& region, std::string& out) {
    ItemList spans;
    spans.begin(out, region.name(), "spans");
    for (const auto& [kind, sums] : kinds_) {
      json::object item;
      item["kind"] = kind;
      add_space(item, sums.space);
      item["oldest_unix_ns"] = sums.oldest_unix_ns;
      spans.add(out, item);
    }
    json::object rest;
    rest["holder"] = std::move(who_);
    rest["live_blocks"] = owned_.blocks;
    rest["live_bytes"] = owned_.live_bytes;
    rest["offered_blocks"] = owned_.offered_blocks;
    rest["exposed_blocks"] = owned_.exposed_blocks;
    rest["blocks_elsewhere"] = owned_elsewhere_.blocks;
    rest["bytes_elsewhere"] = owned_elsewhere_.live_bytes;
    rest["moved"] = walk_->moved();
    spans.end(out, rest);
    out.insert(out.size() - 1, ",\"reservations\":[" + reservations_ + "],\"pins\":[" + pins_ +
                                   "],\"names\":[" + names_ + "]");
  }

  std::uint32_t session_;
  Stage stage_ = Stage::kBegin;
  json::object who_;
  OwnedSink sink_;
  std::optional<region::SpanWalk> walk_;
  std::map<std::string_view, OfKind> kinds_;
  region::OwnerSums owned_;
  region::OwnerSums owned_elsewhere_;  // in spans of others, and in orphans
  std::uint32_t next_reservation_ = 0;
  NameWalk names_walk_;
  std::string reservations_;  // items, with commas
  std::string pins_;
  std::string names_;
};

}  // namespace

std::unique_ptr<ControlRequest> make_holdings_answer(const ControlQuery& query,
                                                     ControlContext context, Regions regions) {
  return std::make_unique<SessionAnswer>(query, std::move(context), std::move(regions));
}

}  // namespace allot::daemon
