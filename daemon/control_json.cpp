#include "daemon/control_json.hpp"

#include <array>
#include <charconv>
#include <string_view>

#include <boost/json/serialize.hpp>

#include "shared/region/chunk_words.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

struct ErrcName {
  Errc errc;
  std::string_view name;
};

// Those that a control request can meet.
constexpr std::array<ErrcName, 10> kErrcNames = {{{Errc::kBadMessage, "bad_message"},
                                                  {Errc::kBadArgument, "bad_argument"},
                                                  {Errc::kBadName, "bad_name"},
                                                  {Errc::kNotAllowed, "not_allowed"},
                                                  {Errc::kUnknownRegion, "unknown_region"},
                                                  {Errc::kNotInRegion, "not_in_region"},
                                                  {Errc::kNameUnknown, "name_unknown"},
                                                  {Errc::kStaleHandle, "stale_handle"},
                                                  {Errc::kForeignRegion, "foreign_region"},
                                                  {Errc::kUnknownSession, "unknown_session"}}};

std::string_view errc_name(Errc errc) noexcept {
  for (const ErrcName& one : kErrcNames) {
    if (one.errc == errc) return one.name;
  }
  return "error";
}

json::string_view json_view(std::string_view text) noexcept { return {text.data(), text.size()}; }

std::string_view state_name(region::SessionState state) noexcept {
  switch (state) {
    case region::SessionState::kAbsent: return "absent";
    case region::SessionState::kLive: return "live";
    case region::SessionState::kDetached: return "detached";
    case region::SessionState::kDraining: return "draining";
  }
  return "unknown";
}

std::string_view carving_name(region::Carving::Kind kind) noexcept {
  switch (kind) {
    case region::Carving::Kind::kNone: return "none";
    case region::Carving::Kind::kBlocks: return "blocks";
    case region::Carving::Kind::kLarge: return "large";
    case region::Carving::Kind::kInvalid: return "invalid";
  }
  return "unknown";
}

// Text of a client, which may hold any bytes: what is not printable ASCII becomes '?'.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c < ' ' || c > '~') c = '?';
  }
  return out;
}

}  // namespace

std::string error_line(const Error& error) {
  json::object out;
  out["ok"] = false;
  json::object& inner = out["error"].emplace_object();
  inner["code"] = error.code.value();
  inner["name"] = json_view(errc_name(error.errc()));
  inner["message"] = error.code.message();
  inner["detail"] = error.detail;
  return answer_line(out);
}

std::string answer_line(const json::value& value) { return json::serialize(value) + "\n"; }

std::string hex_text(std::uint64_t bits) {
  std::array<char, 18> text{'0', 'x'};
  const auto end = std::to_chars(text.data() + 2, text.data() + text.size(), bits, 16).ptr;
  return {text.data(), end};
}

void add_space(json::object& out, const region::SpaceSums& space) {
  out["granted_bytes"] = space.granted_bytes;
  out["live_bytes"] = space.live_bytes;
  out["cached_bytes"] = space.cached_bytes;
  out["free_bytes"] = space.free_bytes;
  out["tail_bytes"] = space.tail_bytes;
  out["live_blocks"] = space.live_blocks;
  out["spans"] = space.spans;
}

std::string_view noted_kind_name(region::NotedKind kind) noexcept {
  switch (kind) {
    case region::NotedKind::kFixed: return "fixed";
    case region::NotedKind::kChained: return "chained";
    case region::NotedKind::kVirtual: return "virtual";
    case region::NotedKind::kChainedVirtual: return "chained virtual";
    case region::NotedKind::kUnused: break;
  }
  return "unknown";
}

std::string session_label(const core::RegionCore& region, std::uint32_t id) {
  return printable(protocol::text(region.view().session(id).label));
}

json::object holder_json(const core::RegionCore& region, std::uint32_t id) {
  const core::RegionCore::SessionRecord* const record = region.session(id);
  json::object out;
  out["session"] = id;
  if (record == nullptr) {
    out["state"] = json_view(state_name(region::SessionState::kAbsent));
    return out;
  }
  out["incarnation"] = record->incarnation;
  out["state"] = json_view(state_name(record->state));
  out["label"] = session_label(region, id);
  out["pid"] = record->peer.pid;
  out["uid"] = record->peer.uid;
  out["connected_unix_ns"] = region.view().session(id).connected_unix_ns;
  return out;
}

const char* span_kind(const region::Carving& carving) noexcept {
  switch (carving.kind) {
    case region::Carving::Kind::kNone: return "uncarved";
    case region::Carving::Kind::kBlocks:
      return carving.block_bytes <= region::kMaxSmallBytes ? "small" : "medium";
    case region::Carving::Kind::kLarge: return carving.chunked ? "chunked" : "large";
    case region::Carving::Kind::kInvalid: break;
  }
  return "invalid";
}

json::object session_json(const core::RegionCore& region, std::uint32_t id,
                          const core::RegionCore::SessionRecord& record,
                          const region::SessionSums& sums) {
  json::object out = holder_json(region, id);
  out["heaps"] = record.heaps;
  out["granted_bytes"] = record.granted_bytes;
  out["granted_spans"] = record.granted_spans;
  out["grants"] = record.grants;
  out["reservation_bytes"] = record.reservation_bytes;
  out["cached_bytes"] = sums.space.cached_bytes;
  out["tail_bytes"] = sums.space.tail_bytes;
  out["live_bytes"] = sums.owned.live_bytes;
  out["live_blocks"] = sums.owned.blocks;
  out["offered_blocks"] = sums.owned.offered_blocks;
  out["exposed_blocks"] = sums.owned.exposed_blocks;
  out["allocations"] = sums.heaps.allocations;
  out["frees"] = sums.heaps.frees;
  return out;
}

json::object span_json(core::RegionCore& region, const region::SpanSums& span) {
  const region::SpanRef& ref = span.span;
  json::object out;
  out["first"] = ref.first;
  out["granules"] = ref.head.granules;
  out["state"] = ref.head.state == region::SpanState::kGranted ? "granted" : "orphan";
  out["session"] = ref.head.session;
  out["carving"] = json_view(carving_name(span.carving.kind));
  out["block_bytes"] = span.carving.block_bytes;
  out["blocks"] = span.carving.block_count;
  out["kept_blocks"] = span.kept_blocks;
  out["offered_blocks"] = span.offered_blocks;
  add_space(out, span.space);
  out.erase("spans");
  if (const core::Extent* const extent = region.extents().find(ref.first); extent != nullptr) {
    out["uid"] = extent->info.uid;
    out["granted_unix_ns"] = extent->info.granted_unix_ns;
  }
  return out;
}

json::object name_json(const core::RegionCore& region, const std::string& name,
                       const core::RegionCore::NameRecord& record) {
  json::object out;
  out["name"] = name;
  out["state"] = name.empty() ? "hidden" : "visible";
  out["handle"] = hex_text(record.handle.bits());
  out["uid"] = record.uid;
  out["pins"] = record.pins.size();
  if (!name.empty()) {
    const region::NameEntry& entry = region.view().name(record.slot);
    out["size_bytes"] = entry.size_bytes;
    out["published_unix_ns"] = entry.published_unix_ns;
  }
  return out;
}

json::object arena_json(const core::RegionCore& region, const std::string& name,
                        const core::RegionCore::NameRecord& record) {
  const region::RegionView& view = region.view();
  const auto span =
      view.find_span(record.word / region::kWordsPerGranule, region.high_water_granules());
  if (!span) return {};
  const region::Carving carving = view.carving_of(*span);
  if (!carving.chunked) return {};
  const auto* const words = &view.word(span->first, 0);
  const auto head = region::read_chunk_head(words, span->word_count, carving.block_bytes);
  if (!head) return {};
  const ChunkUsage sums = region::sum_chunks(words, *head);
  json::object out = name_json(region, name, record);
  out["kind"] = head->form == detail::ChunkForm::kArray ? "shared array" : "shared arena";
  out["used_bytes"] = sums.used_bytes;
  out["committed_bytes"] = carving.block_bytes;
  out["reserved_bytes"] = carving.block_bytes;
  out["unit_bytes"] = head->unit_bytes;
  out["chunk_bytes"] = head->chunk_bytes();
  out["untouched_chunks"] = sums.untouched_chunks;
  out["open_chunks"] = sums.open_chunks;
  out["closed_chunks"] = sums.closed_chunks;
  out["rest_bytes"] = sums.open_rest_bytes + sums.closed_rest_bytes;
  out["epoch"] = region::word_value(words[region::ChunkWords::kEpoch].load_relaxed());
  out["made_at"] =
      region::read_text(words + region::ChunkWords::kPlace, region::ChunkWords::kPlaceWords);
  return out;
}

json::object note_json(const region::ArenaNote& note, const core::SpanInfo& span) {
  json::object out;
  out["name"] = note.name;
  out["state"] = "exclusive";
  out["kind"] = json_view(noted_kind_name(note.kind));
  out["session"] = span.session;
  out["uid"] = span.uid;
  out["used_bytes"] = note.figures.used_bytes;
  out["committed_bytes"] = note.figures.committed_bytes;
  out["reserved_bytes"] = note.figures.reserved_bytes;
  out["made_at"] = note.made_at;
  return out;
}

json::object violation_json(const region::Violation& violation) {
  json::object out;
  out["fault"] = json_view(region::fault_name(violation.fault));
  out["granule"] = violation.granule;
  out["index"] = violation.index;
  out["word"] = violation.word;
  out["expected"] = violation.expected;
  out["text"] = region::violation_text(violation);
  return out;
}

}  // namespace allot::daemon
