#include "daemon/inherited_descriptors.hpp"

#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <system_error>
#include <utility>

namespace allot::daemon {

Expected<InheritedDescriptors> InheritedDescriptors::from_environment() {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  if (count < 0) {
    return Error(std::error_code(-count, std::generic_category()), "LISTEN_FDS, LISTEN_FDNAMES");
  }
  InheritedDescriptors inherited;
  for (int i = 0; i < count; ++i) {
    inherited.descriptors_.emplace(names[i], platform::Descriptor(SD_LISTEN_FDS_START + i));
    std::free(names[i]);  // NOLINT(cppcoreguidelines-no-malloc)
  }
  std::free(names);  // NOLINT(cppcoreguidelines-no-malloc)
  return inherited;
}

std::optional<platform::Descriptor> InheritedDescriptors::take(std::string_view name) {
  const auto first = descriptors_.lower_bound(name);
  if (first == descriptors_.end() || first->first != name) return std::nullopt;
  return std::move(descriptors_.extract(first).mapped());
}

std::vector<platform::Descriptor> InheritedDescriptors::take_all(std::string_view name) {
  std::vector<platform::Descriptor> taken;
  while (auto one = take(name)) taken.push_back(std::move(*one));
  return taken;
}

std::vector<std::string> InheritedDescriptors::names() const {
  std::vector<std::string> names;
  names.reserve(descriptors_.size());
  for (const auto& [name, descriptor] : descriptors_) names.push_back(name);
  return names;
}

}  // namespace allot::daemon
