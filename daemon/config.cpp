#include "daemon/config.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include <toml++/toml.h>

#include "daemon/accounts.hpp"
#include "daemon/size_text.hpp"
#include "shared/protocol/message.hpp"
#include "shared/region/geometry.hpp"

namespace allot::daemon {

namespace {

constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;
constexpr std::uint64_t kDayMs = 86'400'000;

// A number of the configuration: its key, its range, where it goes.
struct Field {
  std::string_view key;
  std::uint64_t least;
  std::uint64_t most;
  std::function<void(std::uint64_t)> set;
};

template <class T>
Field field(std::string_view key, T& target, std::uint64_t least, std::uint64_t most) {
  return {key, least, most, [&target](std::uint64_t value) { target = static_cast<T>(value); }};
}

std::vector<Field> fields_of(core::Limits& l) {
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

std::vector<Field> fields_of(ServerLimits& l) {
  return {field("max_connections", l.max_connections, 1, 65'536),
          field("max_connections_per_uid", l.max_connections_per_uid, 1, 65'536),
          field("hello_deadline_ms", l.hello_deadline_ms, 10, kDayMs),
          field("max_pending_bytes", l.max_pending_bytes, 0, 1024 * kTiB),
          field("max_pending_grants", l.max_pending_grants, 1, 1024),
          field("max_control_connections", l.max_control_connections, 1, 4096),
          field("control_deadline_ms", l.control_deadline_ms, 10, kDayMs),
          field("control_idle_ms", l.control_idle_ms, 10, kDayMs)};
}

class Reader {
 public:
  Reader(std::string file, ConfigReading& out) : file_(std::move(file)), out_(out) {}

  void read(const toml::table& root) {
    const std::vector<Field> fields = fields_of(out_.config.limits);
    for (const auto& [key, node] : root) {
      if (key == "log_level") {
        read_log_level(node);
      } else if (key == "region") {
        read_regions(node);
      } else {
        read_field(fields, key.str(), node, "the top level");
      }
    }
  }

  void mistake(const toml::source_region& where, std::string_view key, const std::string& what) {
    mistakes_.emplace(where.begin.line, file_ + ":" + std::to_string(where.begin.line) + ": " +
                                            one_line(key) + ": " + what);
  }

  // In the order of the lines; a table gives its keys in another.
  void report() {
    for (auto& [line, mistake] : mistakes_) out_.mistakes.push_back(std::move(mistake));
    mistakes_.clear();
  }

 private:
  void read_log_level(const toml::node& node) {
    const auto name = node.value<std::string>();
    const auto level = name ? log_level_of(*name) : std::nullopt;
    if (level) {
      out_.config.log_level = *level;
    } else {
      mistake(node.source(), "log_level", "use " + std::string(kLogLevelNames) + ", in quotes");
    }
  }

  void read_field(const std::vector<Field>& fields, std::string_view key, const toml::node& node,
                  const std::string& place) {
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [key](const Field& one) { return one.key == key; });
    if (found == fields.end()) {
      mistake(node.source(), key,
              "unknown key at " + place + "; see allotd.toml(5) for those there are");
      return;
    }
    std::optional<std::uint64_t> value;
    if (const auto* const number = node.as_integer(); number != nullptr && number->get() >= 0) {
      value = static_cast<std::uint64_t>(number->get());
    }
    const bool size = key.ends_with("_bytes");
    if (const auto* const text = node.as_string(); text != nullptr && size) {
      value = parse_size(text->get());
    }
    if (!value) {
      mistake(node.source(), key,
              size ? "write a number of bytes, or a size in quotes such as \"64 GiB\""
                   : "write a whole number of at least 0");
    } else if (*value < found->least || *value > found->most) {
      mistake(node.source(), key,
              std::to_string(*value) + " is out of range; use " + std::to_string(found->least) +
                  " to " + std::to_string(found->most));
    } else {
      found->set(*value);
    }
  }

  void read_regions(const toml::node& node) {
    const toml::array* const tables = node.as_array();
    if (tables == nullptr || !tables->is_array_of_tables()) {
      mistake(node.source(), "region", "write each region as a table: [[region]]");
      return;
    }
    if (tables->size() > kMaxRegions) {
      mistake(node.source(), "region", "at most " + std::to_string(kMaxRegions) + " regions");
      return;
    }
    out_.config.regions.clear();
    std::set<std::string> names;
    for (const toml::node& table : *tables) {
      RegionConfig region = read_region(*table.as_table());
      if (!names.insert(region.name).second) {
        mistake(table.source(), "name",
                "region '" + region.name + "' is there twice; give each a name of its own");
      }
      out_.config.regions.push_back(std::move(region));
    }
  }

  RegionConfig read_region(const toml::table& table) {
    RegionConfig region;
    const std::vector<Field> fields = fields_of(region.limits);
    if (!table.contains("name")) {
      mistake(table.source(), "name", "the region has none; add name = \"...\"");
    }
    for (const auto& [key, node] : table) {
      const std::string_view name = key.str();
      if (name == "name") {
        read_name(node, region);
      } else if (name == "allow_uids" || name == "allow_gids") {
        read_numbers(name, node, name == "allow_uids" ? region.policy.uids : region.policy.gids);
      } else if (name == "allow_users" || name == "allow_groups") {
        read_accounts(name, node, region.policy);
      } else {
        read_field(fields, name, node, "[[region]]");
      }
    }
    if (region.limits.size_bytes % region::kGranuleBytes != 0) {
      mistake(table.contains("size_bytes") ? table.get("size_bytes")->source() : table.source(),
              "size_bytes", "use a multiple of 64 KiB");
    }
    return region;
  }

  void read_name(const toml::node& node, RegionConfig& region) {
    const auto name = node.value<std::string>();
    if (name && protocol::is_valid_name(*name, region::kRegionNameBytes)) {
      region.name = *name;
    } else {
      mistake(node.source(), "name",
              "use 1 to " + std::to_string(region::kRegionNameBytes - 1) +
                  " printable ASCII characters without blanks, in quotes");
    }
  }

  // The list at `node`; an empty one would admit everybody and is a mistake.
  const toml::array* list_at(std::string_view key, const toml::node& node) {
    const toml::array* const list = node.as_array();
    if (list != nullptr && !list->empty()) return list;
    mistake(node.source(), key,
            "write a list that is not empty, or leave the key out to admit everybody");
    return nullptr;
  }

  void read_numbers(std::string_view key, const toml::node& node, std::set<std::uint32_t>& ids) {
    const toml::array* const list = list_at(key, node);
    if (list == nullptr) return;
    for (const toml::node& one : *list) {
      const std::int64_t id = one.is_integer() ? one.as_integer()->get() : -1;
      // The largest id means "none" to the kernel.
      if (id >= 0 && id < std::numeric_limits<std::uint32_t>::max()) {
        ids.insert(static_cast<std::uint32_t>(id));
      } else {
        mistake(one.source(), key, "write numbers from 0 to 4294967294");
      }
    }
  }

  // core::Peer has the primary group only: the other members of a group are admitted by their uids.
  void read_accounts(std::string_view key, const toml::node& node, core::AccessPolicy& policy) {
    const toml::array* const list = list_at(key, node);
    if (list == nullptr) return;
    for (const toml::node& one : *list) {
      if (!one.is_string()) {
        mistake(one.source(), key, "write names in quotes");
        continue;
      }
      const std::string& name = one.as_string()->get();
      if (key == "allow_users") {
        if (const auto uid = find_user(name)) {
          policy.uids.insert(*uid);
          continue;
        }
      } else if (const auto group = find_group(name)) {
        policy.gids.insert(group->gid);
        policy.uids.insert(group->members.begin(), group->members.end());
        continue;
      }
      mistake(one.source(), key, "'" + one_line(name) + "' is not known to this machine");
    }
  }

  std::string file_;
  ConfigReading& out_;
  std::multimap<std::uint32_t, std::string> mistakes_;  // by line
};

}  // namespace

ConfigReading parse_config(std::string_view text, const std::string& name) {
  ConfigReading reading;
  Reader reader(name, reading);
  try {
    reader.read(toml::parse(text, name));
  } catch (const toml::parse_error& error) {
    reader.mistake(error.source(), "syntax", std::string(error.description()));
  }
  reader.report();
  return reading;
}

ConfigReading read_config(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (in.bad() || !in.is_open()) {
    ConfigReading reading;
    reading.mistakes.push_back(file.native() + ":0: file: cannot be read; check its path and mode");
    return reading;
  }
  return parse_config(text, file.native());
}

}  // namespace allot::daemon
