#include "daemon/config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>
#include <utility>

#include <toml++/toml.h>

#include "daemon/accounts.hpp"
#include "daemon/config_field.hpp"
#include "daemon/size_text.hpp"
#include "shared/platform/system_error.hpp"
#include "shared/protocol/message.hpp"
#include "shared/region/geometry.hpp"

namespace allot::daemon {

namespace {

// As it stands in the file, in one line; empty for a list or a table.
std::string written(const toml::node& node) {
  constexpr std::size_t kMostBytes = 60;
  std::ostringstream out;
  node.visit([&out](const auto& one) {
    if constexpr (toml::is_value<decltype(one)>) out << one;
  });
  std::string text = one_line(out.str());
  if (text.size() > kMostBytes) text = text.substr(0, kMostBytes) + "...";
  return text;
}

class Reader {
 public:
  Reader(std::string file, ConfigReading& out) : file_(std::move(file)), out_(out) {}

  void read(const toml::table& root) {
    const std::vector<ConfigField> fields = fields_of(out_.config.limits);
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
  /// Of a key's value, or of one in its list.
  void mistake(const toml::node& node, std::string_view key, const std::string& what) {
    const std::string value = written(node);
    mistake(node.source(), one_line(key) + (value.empty() ? "" : " = " + value), what);
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
      mistake(node, "log_level", "use " + std::string(kLogLevelNames) + ", in quotes");
    }
  }

  void read_field(const std::vector<ConfigField>& fields, std::string_view key,
                  const toml::node& node, const std::string& place) {
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [key](const ConfigField& one) { return one.key == key; });
    if (found == fields.end()) {
      mistake(node, key, "unknown key at " + place + "; see allotd.toml(5) for those there are");
      return;
    }
    std::optional<std::uint64_t> value;
    if (const auto* const number = node.as_integer(); number != nullptr && number->get() >= 0) {
      value = static_cast<std::uint64_t>(number->get());
    }
    if (const auto* const text = node.as_string(); text != nullptr && found->is_size()) {
      value = parse_size(text->get());
    }
    if (!value || !found->allows(*value)) {
      mistake(node, key, found->allowed());
    } else {
      found->set(*value);
    }
  }

  void read_regions(const toml::node& node) {
    const toml::array* const tables = node.as_array();
    if (tables == nullptr || !tables->is_array_of_tables()) {
      mistake(node, "region", "use a table for each region: [[region]]");
      return;
    }
    if (tables->size() > kMaxRegions) {
      mistake(
          node, "region",
          std::to_string(tables->size()) + " regions; use at most " + std::to_string(kMaxRegions));
      return;
    }
    out_.config.regions.clear();
    std::set<std::string> names;
    for (const toml::node& table : *tables) {
      RegionConfig region = read_region(*table.as_table());
      if (!names.insert(region.name).second) {
        mistake(table, "name",
                "region '" + region.name + "' is there twice; give each a name of its own");
      }
      out_.config.regions.push_back(std::move(region));
    }
  }

  RegionConfig read_region(const toml::table& table) {
    RegionConfig region;
    const std::vector<ConfigField> fields = fields_of(region.limits);
    if (!table.contains("name")) {
      mistake(table, "name", "the region has none; add name = \"...\"");
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
      mistake(table.contains("size_bytes") ? *table.get("size_bytes") : table, "size_bytes",
              "use a multiple of 64 KiB");
    }
    return region;
  }

  void read_name(const toml::node& node, RegionConfig& region) {
    const auto name = node.value<std::string>();
    if (name && protocol::is_valid_name(*name, region::kRegionNameBytes)) {
      region.name = *name;
    } else {
      mistake(node, "name",
              "use 1 to " + std::to_string(region::kRegionNameBytes - 1) +
                  " printable ASCII characters without blanks, in quotes");
    }
  }

  // The list at `node`; an empty one would admit everybody and is a mistake.
  const toml::array* list_at(std::string_view key, const toml::node& node) {
    const toml::array* const list = node.as_array();
    if (list != nullptr && !list->empty()) return list;
    mistake(node, key, "use a list that is not empty, or leave the key out to admit everybody");
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
        mistake(one, key, "use whole numbers from 0 to 4294967294");
      }
    }
  }

  // core::Peer has the primary group only: the other members of a group are admitted by their uids.
  void read_accounts(std::string_view key, const toml::node& node, core::AccessPolicy& policy) {
    const toml::array* const list = list_at(key, node);
    if (list == nullptr) return;
    for (const toml::node& one : *list) {
      if (!one.is_string()) {
        mistake(one, key, "use names in quotes");
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
      mistake(one, key, "this machine does not know the name; use one of getent(1)'s");
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
    // It quotes what stands in the file.
    reader.mistake(error.source(), "syntax", one_line(error.description()));
  }
  reader.report();
  return reading;
}

ConfigReading read_config(const std::filesystem::path& file) {
  const auto unreadable = [&file](const std::string& why) {
    ConfigReading reading;
    reading.mistakes.push_back(file.native() + ": cannot be read: " + why);
    return reading;
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(file, ignored)) {
    return unreadable("it is a directory; name the file, such as " +
                      (file / "allotd.toml").native());
  }
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (in.is_open() && in.peek() != std::ifstream::traits_type::eof()) text << in.rdbuf();
  if (!in.is_open() || in.bad() || text.fail()) {
    const std::error_code why(errno, std::generic_category());
    if (!platform::is_shortage(why)) return unreadable(why.message() + "; check its path and mode");
    ConfigReading reading = unreadable(why.message());
    reading.is_shortage = true;
    return reading;
  }
  return parse_config(text.str(), file.native());
}

}  // namespace allot::daemon
