// Config: what the administrator may set, from a TOML file; all of it has defaults.
//
// Used by main() at the start and by --check-config. A file is read whole: every mistake is
// reported with file, line, key, value and what is allowed, and nothing of a file with a mistake is
// used. Unknown keys are mistakes. Without any [[region]] there is one, named "default".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "daemon/core/limits.hpp"
#include "daemon/core/service.hpp"
#include "daemon/log.hpp"
#include "daemon/server_limits.hpp"

namespace allot::daemon {

struct RegionConfig {
  std::string name = "default";
  core::Limits limits;
  core::AccessPolicy policy;
};

struct Config {
  LogLevel log_level = LogLevel::kInfo;
  ServerLimits limits;
  std::vector<RegionConfig> regions = {RegionConfig{}};
};

struct ConfigReading {
  Config config;
  std::vector<std::string> mistakes;  // "file:line: key = value: what is allowed"
  bool is_shortage = false;           // the file may be right: it could not be read at this time
};

/// Reads `file`. If there are mistakes, config is not to be used.
[[nodiscard]] ConfigReading read_config(const std::filesystem::path& file);

/// The same for text that is not in a file; `name` stands for the file in mistakes.
[[nodiscard]] ConfigReading parse_config(std::string_view text, const std::string& name);

}  // namespace allot::daemon
