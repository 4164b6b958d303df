// What a descriptor may be called in the service manager's store: the rule of FDNAME.
//
// Used by ServiceManager, which stores under such names, and by the supervisor, which takes them
// from its daemon. Narrower than systemd's rule: no name needs escaping in LISTEN_FDNAMES.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

namespace allot::daemon {

inline constexpr std::size_t kMaxDescriptorNameBytes = 255;

[[nodiscard]] constexpr bool is_descriptor_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kMaxDescriptorNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-';
         });
}

}  // namespace allot::daemon
