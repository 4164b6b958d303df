// DescriptorStore: the descriptors that the supervisor keeps for its daemon, by name.
//
// Used by the supervisor only. Several may have one name; they keep the order in which they came.
// There are no duplicates to look for: the daemon stores each descriptor once.
//
// Invariant: all that is kept can be passed on, in number and in the length of LISTEN_FDNAMES, which
// the kernel takes up to 128 KiB.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

class DescriptorStore {
 public:
  static constexpr std::size_t kCapacity = 16384;
  static constexpr std::size_t kMaxNameListBytes = 127 << 10;

  /// False if there is no room; the descriptor is closed then.
  bool add(std::string_view name, platform::Descriptor descriptor);
  /// Closes all of this name.
  void remove(std::string_view name);

  [[nodiscard]] std::size_t size() const noexcept { return descriptors_.size(); }
  /// The descriptors, still owned here, and their names in the same order, with colons between.
  [[nodiscard]] std::vector<int> descriptors() const;
  [[nodiscard]] std::string name_list() const;

 private:
  std::multimap<std::string, platform::Descriptor, std::less<>> descriptors_;
  std::size_t name_list_bytes_ = 0;  // each with its colon
};

}  // namespace allot::daemon
