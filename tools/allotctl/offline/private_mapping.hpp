// PrivateMapping: memory of this process alone, empty or with what a file holds.
//
// Used by RegionCopy. What is written to it stays in this process, and the file is opened for reading only:
// nothing here can change a region.
#pragma once

#include <cstddef>
#include <cstdint>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::ctl {

class PrivateMapping {
 public:
  PrivateMapping() = default;
  PrivateMapping(PrivateMapping&& other) noexcept;
  PrivateMapping& operator=(PrivateMapping&& other) noexcept;
  PrivateMapping(const PrivateMapping&) = delete;
  PrivateMapping& operator=(const PrivateMapping&) = delete;
  ~PrivateMapping();

  /// A copy of the file's first `size_bytes` as they are now; holes are not read and stay holes.
  [[nodiscard]] static Expected<PrivateMapping> copy(const platform::Descriptor& file,
                                                     std::size_t size_bytes);
  /// The file's first `size_bytes` as they are whenever they are read, but for the pages that were
  /// written to here.
  [[nodiscard]] static Expected<PrivateMapping> map(const platform::Descriptor& file,
                                                    std::size_t size_bytes);

  [[nodiscard]] std::byte* base() const noexcept { return base_; }

 private:
  PrivateMapping(std::byte* base, std::size_t size_bytes) noexcept
      : base_(base), size_bytes_(size_bytes) {}

  std::byte* base_ = nullptr;
  std::size_t size_bytes_ = 0;
};

/// A number that is another one when something in the file's first `size_bytes` is.
[[nodiscard]] Expected<std::uint64_t> checksum(const platform::Descriptor& file,
                                               std::size_t size_bytes);

}  // namespace allot::ctl
