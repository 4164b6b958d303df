// StoredRegion: the files of a region that an earlier daemon served, as the service manager kept them.
//
// Used by Server at the start. A region of which a part is missing was never served: its daemon ended
// before all was stored, and no client can have it.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <allot/expected.hpp>

#include "daemon/inherited_descriptors.hpp"
#include "shared/platform/descriptor.hpp"
#include "shared/region/region_files.hpp"

namespace allot::daemon {

struct StoredRegion {
  std::uint32_t tag = 0;
  std::string name;
  std::uint64_t granules = 0;
  std::uint64_t fingerprint = 0;
  region::RegionFiles files;
  platform::Descriptor vault;
};

struct StoredRegions {
  std::vector<StoredRegion> whole;
  std::vector<std::string> useless_names;  // to be taken out of the store
  std::set<std::uint64_t> tags;            // of all of them
};

/// Takes every region's parts out of `inherited`. An error if one cannot be read just now.
[[nodiscard]] Expected<StoredRegions> take_stored_regions(InheritedDescriptors& inherited);

}  // namespace allot::daemon
