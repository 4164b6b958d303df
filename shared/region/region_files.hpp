// The three files of a region, and a process's mapping of them.
//
// RegionFiles: made by the daemon (or embedded mode), handed to clients as descriptors.
// RegionMapping: used by both sides. A private region has one of them and no files: its memory is
// the process's own, and a forked child has a copy of it. Five windows (directory, descriptors, heap counters, span
// ledgers, own words) and a sixth for data, which the daemon leaves out: it never reads users'
// bytes. extend() opens them to a number of granules; bases never move.
#pragma once

#include <cstdint>
#include <string>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"
#include "shared/platform/window.hpp"
#include "shared/region/region_view.hpp"

namespace allot::region {

struct RegionFiles {
  platform::Descriptor directory;
  platform::Descriptor ledger;
  platform::Descriptor data;

  /// Makes three sealed, empty files for `granules` (kMinGranules .. kMaxGranules).
  [[nodiscard]] static Expected<RegionFiles> create(const std::string& name,
                                                    std::uint64_t granules);

  /// Errc::kUntrustedRegion if a file lacks a seal or has not the size for `granules`.
  [[nodiscard]] Expected<void> check(std::uint64_t granules) const;
};

class RegionMapping {
 public:
  enum class Role : std::uint8_t { kDaemon, kClient, kPrivate };

  /// Reserves address space and maps the fixed tables; opens nothing else yet. kDaemon writes
  /// directory and ledger; kClient reads the directory, writes ledger and data. kPrivate writes
  /// all three and has no files: what the calls take for them is not looked at.
  [[nodiscard]] static Expected<RegionMapping> map(const RegionFiles& files, std::uint64_t granules,
                                                   Role role);

  /// Opens the windows to `granules`, or somewhat further so that few mappings are made.
  /// Errc::kAddressSpace if this process has not enough.
  [[nodiscard]] Expected<void> extend(const RegionFiles& files, std::uint64_t granules);
  /// Opens the window of heap counters to `heaps`.
  [[nodiscard]] Expected<void> extend_heaps(const RegionFiles& files, std::uint32_t heaps);

  /// Granules that may be touched.
  [[nodiscard]] std::uint64_t window_granules() const noexcept { return window_granules_; }
  /// Heaps whose counters may be touched.
  [[nodiscard]] std::uint32_t window_heaps() const noexcept {
    return static_cast<std::uint32_t>(heap_ledgers_.size_bytes() / sizeof(HeapLedger));
  }
  [[nodiscard]] RegionView view() const noexcept;
  [[nodiscard]] std::byte* data() const noexcept { return data_.base(); }
  /// Less than all the granules' where address space is short: extend() goes no further.
  [[nodiscard]] std::uint64_t reserved_data_bytes() const noexcept {
    return data_.reserved_bytes();
  }

 private:
  [[nodiscard]] Expected<void> open(platform::Window& window, const platform::Descriptor& file,
                                    std::uint64_t size_bytes) const;

  std::uint64_t granules_ = 0;
  std::uint64_t window_granules_ = 0;
  Role role_ = Role::kDaemon;
  platform::Window directory_;
  platform::Window descriptors_;
  platform::Window heap_ledgers_;
  platform::Window span_ledgers_;
  platform::Window words_;
  platform::Window data_;
};

}  // namespace allot::region
