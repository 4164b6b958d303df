// InheritedDescriptors: what the service manager passed to this process, by name.
//
// Used by run_daemon() at the start: listening sockets of socket activation, and what an earlier
// process of the service put into the descriptor store (ServiceManager). Whoever knows a name takes
// what is there; what nobody took is closed with this object. All are close-on-exec.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

class InheritedDescriptors {
 public:
  /// None.
  InheritedDescriptors() = default;
  /// Takes all that LISTEN_FDS and LISTEN_FDNAMES name, and unsets these; empty if they are not
  /// for this process. Call it once.
  [[nodiscard]] static Expected<InheritedDescriptors> from_environment();

  /// The first of this name that is left.
  [[nodiscard]] std::optional<platform::Descriptor> take(std::string_view name);
  /// All of this name, in the order in which they were passed.
  [[nodiscard]] std::vector<platform::Descriptor> take_all(std::string_view name);
  /// The names of what is left, one for each descriptor, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  // Equal names keep the order in which they came.
  std::multimap<std::string, platform::Descriptor, std::less<>> descriptors_;
};

}  // namespace allot::daemon
