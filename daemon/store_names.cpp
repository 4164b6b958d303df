#include "daemon/store_names.hpp"

#include <algorithm>
#include <charconv>

namespace allot::daemon {

namespace {

constexpr std::uint64_t kListenNamesBytes = 128 << 10;  // MAX_ARG_STRLEN
constexpr std::uint64_t kDescriptorsPerSession = 2;     // presence file, pidfd
constexpr std::uint64_t kSockets = 4;                   // with their paths
// The variable's own name, the sockets' names, and the KiB by which a supervisor keeps below the limit.
constexpr std::uint64_t kOtherNamesBytes = 1536;
// A region that has seen 2^28 sessions; beyond, the string has room for somewhat fewer than this says.
constexpr std::uint64_t kSessionNameBytes = sizeof("3ff.fff.fffffff");
constexpr std::uint64_t kRegionNamesBytes = kRegionParts.size() * sizeof("directory.3ff:");

std::string hex(std::uint64_t number) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  return {digits.data(), end};
}

/// Takes a number and the '.' behind it, or the end, off `text`.
template <class T>
bool take_number(std::string_view& text, T& number, bool is_last) {
  const char* const end = text.data() + text.size();
  const auto [next, failed] = std::from_chars(text.data(), end, number, 16);
  if (failed != std::errc{} || (next == end) != is_last || (!is_last && *next != '.')) return false;
  text.remove_prefix(static_cast<std::size_t>(next - text.data()) + (is_last ? 0 : 1));
  return true;
}

}  // namespace

std::string region_part_name(std::string_view part, std::uint64_t region_tag) {
  return std::string(part) + '.' + hex(region_tag);
}

std::optional<std::uint64_t> region_of_directory(std::string_view name) {
  const auto dot = name.find('.');
  if (name.substr(0, dot) != kRegionParts[0] || dot == std::string_view::npos) return std::nullopt;
  std::uint64_t tag = 0;
  std::string_view rest = name.substr(dot + 1);
  if (!take_number(rest, tag, true) || region_part_name(kRegionParts[0], tag) != name) {
    return std::nullopt;
  }
  return tag;
}

std::string session_name(const StoredSession& session) {
  return hex(session.region_tag) + '.' + hex(session.id) + '.' + hex(session.incarnation);
}

std::optional<StoredSession> parse_session_name(std::string_view name) {
  StoredSession session;
  std::string_view rest = name;
  if (!take_number(rest, session.region_tag, false) || !take_number(rest, session.id, false) ||
      !take_number(rest, session.incarnation, true) || session_name(session) != name) {
    return std::nullopt;
  }
  return session;
}

std::uint64_t storable_sessions(std::uint64_t capacity, std::uint64_t regions,
                                const UnusedInStore& unused) {
  const std::uint64_t others = kSockets + regions * kRegionParts.size() + unused.descriptors;
  const std::uint64_t by_count =
      capacity < others ? 0 : (capacity - others) / kDescriptorsPerSession;
  const std::uint64_t other_bytes =
      kOtherNamesBytes + regions * kRegionNamesBytes + unused.name_bytes;
  const std::uint64_t by_names =
      other_bytes > kListenNamesBytes
          ? 0
          : (kListenNamesBytes - other_bytes) / (kDescriptorsPerSession * kSessionNameBytes);
  return std::min(by_count, by_names);
}

}  // namespace allot::daemon
