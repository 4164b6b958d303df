// RegionCopy: a region as its files say, in memory where it can be restored without anybody's noticing.
//
// Used by audit_copy(). Directory and vault are copied: only the daemon changes them, and it is dead or
// stopped. The ledger is mapped copy-on-write, up to the high-water mark: clients go on without their daemon,
// and an audit knows how to look at what moves.
#pragma once

#include <cstdint>
#include <string>

#include <allot/expected.hpp>

#include "daemon/core/vault.hpp"
#include "shared/region/region_view.hpp"
#include "tools/allotctl/offline/private_mapping.hpp"
#include "tools/allotctl/offline/process_regions.hpp"

namespace allot::ctl {

class RegionCopy {
 public:
  [[nodiscard]] static Expected<RegionCopy> take(ProcessRegion files);

  [[nodiscard]] const std::string& name() const noexcept { return files_.name; }
  [[nodiscard]] region::RegionView view() const noexcept;
  [[nodiscard]] bool has_vault() const noexcept { return files_.vault.has_value(); }
  /// If it has one.
  [[nodiscard]] core::VaultView vault() const noexcept { return {vault_.base(), files_.granules}; }
  /// Granules that may be touched.
  [[nodiscard]] std::uint64_t window_granules() const noexcept { return window_granules_; }

  /// True if nobody has changed directory or vault since they were copied: the daemon has not run.
  [[nodiscard]] Expected<bool> is_unchanged() const;

 private:
  explicit RegionCopy(ProcessRegion files) : files_(std::move(files)) {}
  [[nodiscard]] Expected<std::uint64_t> checksum_of_files() const;

  ProcessRegion files_;
  std::uint64_t checksum_ = 0;
  PrivateMapping directory_;
  PrivateMapping ledger_;
  PrivateMapping vault_;
  std::uint64_t window_granules_ = 0;
};

}  // namespace allot::ctl
