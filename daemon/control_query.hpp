// ControlQuery: a line of the control socket, taken apart and checked, before anybody acts on it.
//
// Used by ControlRequest::parse(). The line comes from a peer: it may be any bytes of any length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <allot/expected.hpp>
#include <allot/handle.hpp>

namespace allot::daemon {

struct ControlQuery {
  enum class Kind : std::uint8_t {
    kVersion,
    kStats,
    kSessions,
    kTop,
    kSpans,
    kMap,
    kNames,
    kArenas,
    kBins,
    kHolders,
    kCheck,
    kUnpublish,
  };

  static constexpr std::uint64_t kDefaultSpans = 1000;
  static constexpr std::uint64_t kMaxSpans = 10'000;

  Kind kind = Kind::kVersion;
  std::optional<std::string> region;    // all of them if it is not given
  std::uint64_t first_granule = 0;      // spans, map: where to begin
  std::uint64_t limit = kDefaultSpans;  // spans, map: how many at most
  std::string name;                     // unpublish
  std::optional<Handle> handle;         // unpublish; holders, if it is of a block
  std::uint32_t session = 0;            // holders: of what this session has
  std::uint64_t incarnation = 0;        // holders: 0: whichever the session has

  bool repair = false;  // check: first orphan and free what no session owns; administrators only

  /// Errc::kBadMessage with a detail that names what is wrong.
  [[nodiscard]] static Expected<ControlQuery> parse(std::string_view line);
};

/// "stats", "sessions", ...: as requests spell it. Static storage.
[[nodiscard]] std::string_view query_name(ControlQuery::Kind kind) noexcept;

}  // namespace allot::daemon
