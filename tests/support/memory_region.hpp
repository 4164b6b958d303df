// MemoryRegion: a region's directory, ledger and vault in private memory, for tests of what reads and
// writes them. No files, no daemon, no data part (nothing below the client touches data).
//
// Windows behave as in a process: what open() has not reached faults, so a test sees whoever
// touches a table before its memory was committed or beyond the high-water mark.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "daemon/core/region_core.hpp"
#include "shared/region/region_view.hpp"
#include "tests/support/guarded_bytes.hpp"

namespace allot::test {

class MemoryRegion {
 public:
  explicit MemoryRegion(std::uint64_t granules);

  /// Lets descriptors, span ledgers and own words of the first `granules` be touched.
  void open(std::uint64_t granules);
  void open_heaps(std::uint32_t heaps);
  /// What a hole punch does to memory: zeroes the part of `range` that lies in the ledger.
  void punch(const core::FileRange& range);

  [[nodiscard]] region::RegionView view() const noexcept;
  [[nodiscard]] core::VaultView vault() const noexcept;
  /// All that may be touched, in an order that depends on nothing.
  [[nodiscard]] std::vector<std::span<std::byte>> areas() const;
  /// Becomes what `other`, of as many granules, is.
  void copy_from(const MemoryRegion& other);
  /// Becomes what a region is of which `granules` and `heaps` may be touched.
  void copy_from(const region::RegionView& view, const core::VaultView& vault,
                 std::uint64_t granules, std::uint32_t heaps);
  [[nodiscard]] std::uint64_t granules() const noexcept { return layout_.granules; }

 private:
  [[nodiscard]] std::array<const GuardedBytes*, 6> parts() const noexcept {
    return {&directory_, &descriptors_, &heap_ledgers_, &span_ledgers_, &words_, &vault_};
  }

  region::FileLayout layout_;
  GuardedBytes directory_;
  GuardedBytes descriptors_;
  GuardedBytes heap_ledgers_;
  GuardedBytes span_ledgers_;
  GuardedBytes words_;
  GuardedBytes vault_;
};

}  // namespace allot::test
