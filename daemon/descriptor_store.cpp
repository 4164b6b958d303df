#include "daemon/descriptor_store.hpp"

#include <utility>

namespace allot::daemon {

bool DescriptorStore::add(std::string_view name, platform::Descriptor descriptor) {
  if (size() >= kCapacity || name_list_bytes_ + name.size() + 1 > kMaxNameListBytes) return false;
  descriptors_.emplace(name, std::move(descriptor));
  name_list_bytes_ += name.size() + 1;
  return true;
}

void DescriptorStore::remove(std::string_view name) {
  const auto [first, last] = descriptors_.equal_range(name);
  for (auto one = first; one != last; one = descriptors_.erase(one)) {
    name_list_bytes_ -= name.size() + 1;
  }
}

std::vector<int> DescriptorStore::descriptors() const {
  std::vector<int> all;
  all.reserve(size());
  for (const auto& [name, descriptor] : descriptors_) all.push_back(descriptor.get());
  return all;
}

std::string DescriptorStore::name_list() const {
  std::string list;
  list.reserve(name_list_bytes_);
  for (const auto& [name, descriptor] : descriptors_) list += (list.empty() ? "" : ":") + name;
  return list;
}

}  // namespace allot::daemon
