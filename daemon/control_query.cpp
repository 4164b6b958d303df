#include "daemon/control_query.hpp"

#include <array>
#include <charconv>
#include <utility>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "daemon/control_requests.hpp"
#include "shared/region/geometry.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

using Kind = ControlQuery::Kind;

struct KindName {
  Kind kind;
  std::string_view name;
};

constexpr std::array<KindName, 12> kKinds = {{{Kind::kVersion, "version"},
                                              {Kind::kStats, "stats"},
                                              {Kind::kSessions, "sessions"},
                                              {Kind::kTop, "top"},
                                              {Kind::kSpans, "spans"},
                                              {Kind::kMap, "map"},
                                              {Kind::kNames, "names"},
                                              {Kind::kArenas, "arenas"},
                                              {Kind::kBins, "bins"},
                                              {Kind::kHolders, "holders"},
                                              {Kind::kCheck, "check"},
                                              {Kind::kUnpublish, "unpublish"}}};

constexpr std::size_t kMaxDepth = 4;
constexpr std::size_t kMaxQuotedBytes = 64;

Error bad(std::string detail) { return {Errc::kBadMessage, std::move(detail)}; }

// A peer's text in an answer: not too long, nothing that is not printable.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, kMaxQuotedBytes)) out += c >= ' ' && c <= '~' ? c : '?';
  out += text.size() > kMaxQuotedBytes ? "...'" : "'";
  return out;
}

std::string_view view_of(json::string_view text) noexcept { return {text.data(), text.size()}; }

// One member after the other is taken from the object; what is left at the end is refused.
class Members {
 public:
  explicit Members(json::object object) : object_(std::move(object)) {}

  [[nodiscard]] Expected<std::optional<std::string>> text(const char* key) {
    const json::value* const found = object_.if_contains(key);
    if (found == nullptr) return std::optional<std::string>();
    if (!found->is_string()) return bad("\"" + std::string(key) + "\" must be a string");
    std::string out(view_of(found->get_string()));
    object_.erase(key);
    return std::optional<std::string>(std::move(out));
  }

  [[nodiscard]] Expected<std::optional<std::uint64_t>> number(const char* key) {
    const json::value* const found = object_.if_contains(key);
    if (found == nullptr) return std::optional<std::uint64_t>();
    boost::system::error_code failed;
    const auto value = found->to_number<std::uint64_t>(failed);
    if (failed) return bad("\"" + std::string(key) + "\" must be a whole number, not negative");
    object_.erase(key);
    return std::optional<std::uint64_t>(value);
  }

  [[nodiscard]] Expected<bool> flag(const char* key) {
    const json::value* const found = object_.if_contains(key);
    if (found == nullptr) return false;
    if (!found->is_bool()) return bad("\"" + std::string(key) + "\" must be true or false");
    const bool value = found->get_bool();
    object_.erase(key);
    return value;
  }

  [[nodiscard]] Expected<void> expect_none_left() const {
    if (object_.empty()) return {};
    return bad("unknown member " + quoted(view_of(object_.begin()->key())));
  }

 private:
  json::object object_;
};

Expected<Kind> kind_of(std::string_view name) {
  std::string known;
  for (const KindName& one : kKinds) {
    if (one.name == name) return one.kind;
    known += (known.empty() ? "" : ", ") + std::string(one.name);
  }
  return bad("unknown request " + quoted(name) + "; there are " + known);
}

// "0x..." or decimal.
Expected<Handle> handle_of(std::string_view text) {
  const bool hex = text.starts_with("0x");
  const std::string_view digits = hex ? text.substr(2) : text;
  std::uint64_t bits = 0;
  const auto [end, failed] =
      std::from_chars(digits.data(), digits.data() + digits.size(), bits, hex ? 16 : 10);
  if (failed != std::errc() || end != digits.data() + digits.size()) {
    return bad("\"handle\" must be \"0x\" and hexadecimal digits, not " + quoted(text));
  }
  return Handle::from_bits(bits);
}

Expected<void> take_span_members(Members& members, ControlQuery& query) {
  auto first = members.number("first");
  if (!first) return first.error();
  auto limit = members.number("limit");
  if (!limit) return limit.error();
  if (*first && !query.region) return bad("\"first\" needs a \"region\"");
  query.first_granule = first->value_or(0);
  query.limit = limit->value_or(ControlQuery::kDefaultSpans);
  if (query.limit == 0 || query.limit > ControlQuery::kMaxSpans) {
    return bad("\"limit\" must be 1 to " + std::to_string(ControlQuery::kMaxSpans));
  }
  return {};
}

Expected<void> take_unpublish_members(Members& members, ControlQuery& query) {
  auto name = members.text("name");
  if (!name) return name.error();
  auto handle = members.text("handle");
  if (!handle) return handle.error();
  if (!query.region || !*name || !*handle) {
    return bad("unpublish needs \"region\", \"name\" and \"handle\"");
  }
  query.name = **name;
  auto parsed = handle_of(**handle);
  if (!parsed) return parsed.error();
  query.handle = *parsed;
  return {};
}

Expected<void> take_holders_members(Members& members, ControlQuery& query) {
  auto handle = members.text("handle");
  if (!handle) return handle.error();
  auto session = members.number("session");
  if (!session) return session.error();
  auto incarnation = members.number("incarnation");
  if (!incarnation) return incarnation.error();
  if (handle->has_value() == session->has_value()) {
    return bad("holders needs a \"handle\" or a \"session\"");
  }
  if (*incarnation && !*session) return bad("\"incarnation\" needs a \"session\"");
  if (*handle) {
    auto parsed = handle_of(**handle);
    if (!parsed) return parsed.error();
    query.handle = *parsed;
    return {};
  }
  if (**session < region::kFirstSession || **session >= region::kSessionLimit) {
    return bad("\"session\" must be " + std::to_string(region::kFirstSession) + " to " +
               std::to_string(region::kSessionLimit - 1));
  }
  query.session = static_cast<std::uint32_t>(**session);
  query.incarnation = incarnation->value_or(0);
  return {};
}

Expected<json::object> object_of(std::string_view line) {
  if (line.size() > kMaxControlLineBytes) {
    return bad("a request has at most " + std::to_string(kMaxControlLineBytes) + " bytes");
  }
  json::parse_options options;
  options.max_depth = kMaxDepth;
  boost::system::error_code failed;
  json::value value = json::parse(json::string_view(line.data(), line.size()), failed, {}, options);
  if (failed) return bad("not JSON: " + failed.message());
  if (!value.is_object()) return bad("a request is a JSON object");
  return std::move(value.get_object());
}

}  // namespace

Expected<ControlQuery> ControlQuery::parse(std::string_view line) {
  auto object = object_of(line);
  if (!object) return object.error();
  Members members(std::move(*object));
  auto name = members.text("request");
  if (!name) return name.error();
  if (!*name) return bad("\"request\" is missing");
  auto kind = kind_of(**name);
  if (!kind) return kind.error();

  ControlQuery query;
  query.kind = *kind;
  if (query.kind != Kind::kVersion) {
    auto region = members.text("region");
    if (!region) return region.error();
    query.region = std::move(*region);
  }
  Expected<void> rest;
  if (query.kind == Kind::kSpans || query.kind == Kind::kMap)
    rest = take_span_members(members, query);
  if (query.kind == Kind::kUnpublish) rest = take_unpublish_members(members, query);
  if (query.kind == Kind::kHolders) rest = take_holders_members(members, query);
  if (query.kind == Kind::kCheck) {
    auto repair = members.flag("repair");
    if (!repair) return repair.error();
    query.repair = *repair;
  }
  if (!rest) return rest.error();
  if (auto none = members.expect_none_left(); !none) return none.error();
  return query;
}

std::string_view query_name(ControlQuery::Kind kind) noexcept {
  return kKinds[static_cast<std::size_t>(kind)].name;
}

}  // namespace allot::daemon
