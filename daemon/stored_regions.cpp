#include "daemon/stored_regions.hpp"

#include <unistd.h>

#include <optional>
#include <utility>

#include "daemon/store_names.hpp"
#include "shared/protocol/message.hpp"

namespace allot::daemon {

namespace {

std::optional<StoredRegion> take_region(InheritedDescriptors& inherited, std::uint64_t tag) {
  auto directory = inherited.take(region_part_name(kRegionParts[0], tag));
  auto ledger = inherited.take(region_part_name(kRegionParts[1], tag));
  auto data = inherited.take(region_part_name(kRegionParts[2], tag));
  auto vault = inherited.take(region_part_name(kRegionParts[3], tag));
  if (!directory || !ledger || !data || !vault) return std::nullopt;
  alignas(region::DirectoryHeader) std::array<std::byte, sizeof(region::DirectoryHeader)> bytes{};
  if (::pread(directory->get(), bytes.data(), bytes.size(), 0) !=
      static_cast<ssize_t>(bytes.size())) {
    return std::nullopt;
  }
  const auto& header = *reinterpret_cast<const region::DirectoryHeader*>(bytes.data());
  // What is stored has a whole header; another magic number is another build's.
  const bool is_known = header.magic == region::kMagic && header.region_tag == tag;
  return StoredRegion{static_cast<std::uint32_t>(tag),
                      std::string(protocol::text(header.name)),
                      header.granules,
                      is_known ? header.fingerprint : 0,
                      {std::move(*directory), std::move(*ledger), std::move(*data)},
                      std::move(*vault)};
}

}  // namespace

StoredRegions take_stored_regions(InheritedDescriptors& inherited) {
  StoredRegions out;
  for (const std::string& name : inherited.names()) {
    const auto tag = region_of_directory(name);
    if (!tag) continue;
    out.tags.insert(*tag);
    if (auto region = take_region(inherited, *tag)) {
      out.whole.push_back(std::move(*region));
      continue;
    }
    for (const std::string_view part : kRegionParts) {
      out.useless_names.push_back(region_part_name(part, *tag));
    }
  }
  return out;
}

}  // namespace allot::daemon
