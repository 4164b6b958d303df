// The regions whose files a process has open, found in /proc/PID/fd.
//
// Used by `allotctl check --offline`. The supervisor of a daemon has all four files of each region; a client
// has no vault. A file is known by its name ("memfd:allot:REGION:PART"), its seals, its size, and by its
// header where it has one; anybody may give a file such a name, so nothing in it is trusted.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::ctl {

/// All of them opened for reading only.
struct ProcessRegion {
  std::string name;
  std::uint64_t granules = 0;
  platform::Descriptor directory;
  platform::Descriptor ledger;
  std::optional<platform::Descriptor> vault;
};

/// "REGION" and "PART" of a link in /proc/PID/fd; nothing if it is to none of a region's files.
struct PartName {
  std::string_view region;
  std::string_view part;
};
[[nodiscard]] std::optional<PartName> part_of_link(std::string_view link);

/// At least one, in the order of their names; only that called `only`, unless it is empty. An error that
/// names the process if there is none, if it has none, or if its files may not be opened;
/// Errc::kLayoutMismatch if another build laid a region out; Errc::kUntrustedRegion if a part is missing,
/// or if two regions have the same name and size, whose parts cannot be told apart.
[[nodiscard]] Expected<std::vector<ProcessRegion>> find_regions(std::uint64_t pid,
                                                                const std::string& only);

}  // namespace allot::ctl
