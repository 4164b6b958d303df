#include "daemon/stored_regions.hpp"

#include <unistd.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "daemon/store_names.hpp"
#include "shared/platform/system_error.hpp"
#include "shared/protocol/message.hpp"

namespace allot::daemon {

namespace {

Expected<std::optional<StoredRegion>> take_region(InheritedDescriptors& inherited,
                                                  std::uint64_t tag) {
  auto directory = inherited.take(region_part_name(kRegionParts[0], tag));
  auto ledger = inherited.take(region_part_name(kRegionParts[1], tag));
  auto data = inherited.take(region_part_name(kRegionParts[2], tag));
  auto vault = inherited.take(region_part_name(kRegionParts[3], tag));
  if (!directory || !ledger || !data || !vault) return std::optional<StoredRegion>();
  alignas(region::DirectoryHeader) std::array<std::byte, sizeof(region::DirectoryHeader)> bytes{};
  ssize_t size = 0;
  while ((size = ::pread(directory->get(), bytes.data(), bytes.size(), 0)) < 0) {
    if (errno == EINTR) continue;
    // What is stored is given up only if it is known to be of no use.
    auto failed = platform::system_error("reading a stored region");
    if (platform::is_shortage(failed.code)) return failed;
    break;
  }
  if (size != static_cast<ssize_t>(bytes.size())) return std::optional<StoredRegion>();
  const auto& header = *reinterpret_cast<const region::DirectoryHeader*>(bytes.data());
  // What is stored has a whole header; another magic number is another build's.
  const bool is_known = header.magic == region::kMagic && header.region_tag == tag;
  return std::optional(StoredRegion{static_cast<std::uint32_t>(tag),
                                    std::string(protocol::text(header.name)),
                                    header.granules,
                                    is_known ? header.fingerprint : 0,
                                    {std::move(*directory), std::move(*ledger), std::move(*data)},
                                    std::move(*vault)});
}

}  // namespace

Expected<StoredRegions> take_stored_regions(InheritedDescriptors& inherited) {
  StoredRegions out;
  for (const std::string& name : inherited.names()) {
    const auto tag = region_of_directory(name);
    if (!tag) continue;
    out.tags.insert(*tag);
    auto region = take_region(inherited, *tag);
    if (!region) return region.error();
    if (*region) {
      out.whole.push_back(std::move(**region));
      continue;
    }
    for (const std::string_view part : kRegionParts) {
      out.useless_names.push_back(region_part_name(part, *tag));
    }
  }
  return out;
}

}  // namespace allot::daemon
