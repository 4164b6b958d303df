// ConfigField: a number of the configuration: its key, its range, and where it goes.
//
// Used by the configuration's reader: one place says for every limit what it may be.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/core/limits.hpp"
#include "daemon/server_limits.hpp"

namespace allot::daemon {

struct ConfigField {
  std::string_view key;
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  std::function<void(std::uint64_t)> set;

  /// Whether it may be written as text with a unit.
  [[nodiscard]] bool is_size() const noexcept { return key.ends_with("_bytes"); }
  [[nodiscard]] bool allows(std::uint64_t value) const noexcept {
    return least <= value && value <= most;
  }
  /// "use ... to ..."
  [[nodiscard]] std::string allowed() const;
};

/// Those that set `limits`, which must outlive them.
[[nodiscard]] std::vector<ConfigField> fields_of(core::Limits& limits);
[[nodiscard]] std::vector<ConfigField> fields_of(ServerLimits& limits);

}  // namespace allot::daemon
