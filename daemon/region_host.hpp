// RegionHost: one region's files and the daemon's mapping of them.
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
#include "shared/platform/descriptor.hpp"
#include "shared/region/region_files.hpp"

namespace allot::daemon {

class RegionHost {
 public:
  /// Makes the files of a new region, sealed and without memory but for the fixed tables.
  [[nodiscard]] static Expected<std::unique_ptr<RegionHost>> create(const RegionConfig& config);

  /// A core for this region, which begins empty; `tag` is that of its handles. Call it once.
  [[nodiscard]] std::unique_ptr<core::RegionCore> make_core(const RegionConfig& config,
                                                            std::uint32_t tag,
                                                            std::uint64_t now_unix_ns) const;

  /// Commits memory for `range`; the caller cuts it to what fits one turn of the loop.
  [[nodiscard]] Expected<void> commit(const core::FileRange& range) const;
  [[nodiscard]] Expected<void> punch(const core::FileRange& range) const;

  /// Opens the daemon's windows, so that the core may touch so many granules and heaps.
  [[nodiscard]] Expected<void> open(std::uint64_t granules, std::uint32_t heaps);

  /// For a client, in the order of the protocol: directory (read-only), ledger, data.
  [[nodiscard]] std::array<int, 3> descriptors() const noexcept {
    return {read_only_directory_.get(), files_.ledger.get(), files_.data.get()};
  }

  [[nodiscard]] std::uint64_t committed_bytes(core::RegionFile which) const noexcept;
  [[nodiscard]] std::uint64_t window_granules() const noexcept {
    return mapping_.window_granules();
  }
  [[nodiscard]] std::uint32_t window_heaps() const noexcept { return window_heaps_; }

 private:
  RegionHost() = default;
  [[nodiscard]] const platform::Descriptor& file(core::RegionFile file) const noexcept;

  region::RegionFiles files_;
  platform::Descriptor read_only_directory_;
  region::RegionMapping mapping_;
  std::uint32_t window_heaps_ = 0;
};

}  // namespace allot::daemon
