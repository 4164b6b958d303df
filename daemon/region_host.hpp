// RegionHost: one region's files, its vault, and the daemon's mapping of them.
//
// Used by the server. It does what RegionCore decides: commits ranges before a grant is visible,
// opens the daemon's own windows, punches what is free, hands out descriptors. The directory goes
// to clients through a descriptor that was opened read-only.
//
// The RegionCore made here works on this object's mapping: destroy it first. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include <allot/expected.hpp>

#include "daemon/config.hpp"
#include "daemon/core/region_core.hpp"
#include "daemon/stored_regions.hpp"
#include "shared/platform/descriptor.hpp"
#include "shared/platform/window.hpp"
#include "shared/region/region_files.hpp"

namespace allot::daemon {

class RegionHost {
 public:
  /// Makes the files of a new region, sealed and without memory but for the fixed tables.
  [[nodiscard]] static Expected<std::unique_ptr<RegionHost>> create(const RegionConfig& config);

  /// Goes on with the files of an earlier daemon. Errc::kLayoutMismatch if another build made them.
  [[nodiscard]] static Expected<std::unique_ptr<RegionHost>> restore(StoredRegion stored);

  /// A core for this region, which begins empty; `tag` is that of its handles. Call it, or the next,
  /// once.
  [[nodiscard]] std::unique_ptr<core::RegionCore> make_core(const RegionConfig& config,
                                                            std::uint32_t tag,
                                                            std::uint64_t now_unix_ns) const;
  /// A core that goes on with the region.
  [[nodiscard]] Expected<std::unique_ptr<core::RegionCore>> restore_core(
      const core::Limits& limits);

  /// Commits memory for `range`; the caller cuts it to what fits one turn of the loop.
  [[nodiscard]] Expected<void> commit(const core::FileRange& range) const;
  [[nodiscard]] Expected<void> punch(const core::FileRange& range) const;

  /// Opens the daemon's windows, so that the core may touch so many granules and heaps.
  [[nodiscard]] Expected<void> open(std::uint64_t granules, std::uint32_t heaps);

  /// For a client, in the order of the protocol: directory (read-only), ledger, data.
  [[nodiscard]] std::array<int, 3> descriptors() const noexcept {
    return {read_only_directory_.get(), files_.ledger.get(), files_.data.get()};
  }

  /// What a restarted daemon needs, in the order of kRegionParts.
  [[nodiscard]] std::array<int, 4> parts() const noexcept {
    return {files_.directory.get(), files_.ledger.get(), files_.data.get(), vault_file_.get()};
  }

  [[nodiscard]] std::uint64_t committed_bytes(core::RegionFile which) const noexcept;
  [[nodiscard]] std::uint64_t window_granules() const noexcept {
    return mapping_.window_granules();
  }
  [[nodiscard]] std::uint32_t window_heaps() const noexcept { return window_heaps_; }

 private:
  RegionHost() = default;
  [[nodiscard]] static Expected<std::unique_ptr<RegionHost>> make(region::RegionFiles files,
                                                                  platform::Descriptor vault,
                                                                  std::uint64_t granules);
  [[nodiscard]] core::VaultView vault() const noexcept;
  [[nodiscard]] const platform::Descriptor& file(core::RegionFile file) const noexcept;

  region::RegionFiles files_;
  platform::Descriptor read_only_directory_;
  region::RegionMapping mapping_;
  platform::Descriptor vault_file_;
  platform::Window vault_;
  std::uint32_t window_heaps_ = 0;
};

}  // namespace allot::daemon
