#include "daemon/config_field.hpp"

#include "daemon/size_text.hpp"
#include "shared/region/geometry.hpp"

namespace allot::daemon {

namespace {

constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;
constexpr std::uint64_t kDayMs = 86'400'000;

template <class T>
ConfigField field(std::string_view key, T& target, std::uint64_t least, std::uint64_t most) {
  return {key, least, most, [&target](std::uint64_t value) { target = static_cast<T>(value); }};
}

}  // namespace

std::string ConfigField::allowed() const {
  if (!is_size()) {
    return "use a whole number from " + std::to_string(least) + " to " + std::to_string(most);
  }
  return "use " + size_text(least) + " to " + size_text(most) +
         ", as a number of bytes or in quotes with a unit";
}

std::vector<ConfigField> fields_of(core::Limits& l) {
  constexpr std::uint64_t kMin = region::kMinGranules * region::kGranuleBytes;
  constexpr std::uint64_t kMax = region::kMaxGranules * region::kGranuleBytes;
  constexpr std::uint64_t kSessions = region::kSessionLimit - region::kFirstSession;
  constexpr std::uint64_t kManyMessages = 1'000'000'000;
  return {field("size_bytes", l.size_bytes, kMin, kMax),
          field("commit_limit_bytes", l.commit_limit_bytes, 0, kMax),
          field("session_quota_bytes", l.session_quota_bytes, 0, kMax),
          field("uid_quota_bytes", l.uid_quota_bytes, 0, kMax),
          field("available_floor_bytes", l.available_floor_bytes, 0, 1024 * kTiB),
          field("max_grant_bytes", l.max_grant_bytes, region::kGranuleBytes, kMax),
          field("session_reserve_bytes", l.session_reserve_bytes, 0, kMax),
          field("uid_reserve_bytes", l.uid_reserve_bytes, 0, kMax),
          field("reserve_limit_bytes", l.reserve_limit_bytes, 0, kMax),
          field("max_sessions", l.max_sessions, 1, kSessions),
          field("max_sessions_per_uid", l.max_sessions_per_uid, 1, kSessions),
          field("max_heaps", l.max_heaps, 1, region::kHeapLimit),
          field("max_heaps_per_uid", l.max_heaps_per_uid, 1, region::kHeapLimit),
          field("max_names", l.max_names, 0, region::kNameLimit),
          field("max_names_per_uid", l.max_names_per_uid, 0, region::kNameLimit),
          field("messages_per_second", l.messages_per_second, 1, kManyMessages),
          field("message_burst", l.message_burst, 1, kManyMessages),
          field("large_reclaim_delay_ms", l.large_reclaim_delay_ms, 0, kDayMs),
          field("punch_delay_ms", l.punch_delay_ms, 0, kDayMs)};
}

std::vector<ConfigField> fields_of(ServerLimits& l) {
  return {field("max_connections", l.max_connections, 1, 65'536),
          field("max_connections_per_uid", l.max_connections_per_uid, 1, 65'536),
          field("hello_deadline_ms", l.hello_deadline_ms, 10, kDayMs),
          field("max_pending_bytes", l.max_pending_bytes, 0, 1024 * kTiB),
          field("max_pending_grants", l.max_pending_grants, 1, 1024),
          field("max_control_connections", l.max_control_connections, 1, 4096),
          field("control_deadline_ms", l.control_deadline_ms, 10, kDayMs),
          field("control_idle_ms", l.control_idle_ms, 10, kDayMs)};
}

}  // namespace allot::daemon
