// WindowCommit: the fixture of what a client does by accident to a region that is large and mostly
// holes: what its files hold before and after, a client's mapping, and a plain one as a control.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <utility>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
#include "shared/platform/page_size.hpp"
#include "shared/region/region_files.hpp"

namespace allot::region {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGranules = 1024 * kMiB / kGranuleBytes;  // a region of 1 GiB
inline constexpr std::uint64_t kPlainBytes = 16 * kMiB;                  // what a control maps
inline constexpr std::uint32_t kHeaps = 3;

struct Committed {
  std::uint64_t directory;
  std::uint64_t ledger;
  std::uint64_t data;
  friend bool operator==(const Committed&, const Committed&) = default;
};

inline Committed operator-(const Committed& left, const Committed& right) {
  return {left.directory - right.directory, left.ledger - right.ledger, left.data - right.data};
}

inline std::ostream& operator<<(std::ostream& out, const Committed& bytes) {
  return out << "directory " << bytes.directory << ", ledger " << bytes.ledger << ", data "
             << bytes.data;
}

/// The bytes that the windows of a client hold when they are open to `granules`.
inline Committed window_bytes(std::uint64_t granules) {
  const auto pages = [](std::uint64_t bytes) { return platform::round_up_to_page(bytes); };
  return {pages(granules * sizeof(std::uint64_t)),
          pages(granules * sizeof(SpanLedger)) +
              pages(granules * kWordsPerGranule * sizeof(std::uint32_t)) +
              pages(kHeaps * sizeof(HeapLedger)),
          granules * kGranuleBytes};
}

class WindowCommit : public testing::Test {
 protected:
  [[nodiscard]] Committed committed() const {
    return {platform::committed_bytes(files_.directory), platform::committed_bytes(files_.ledger),
            platform::committed_bytes(files_.data)};
  }

  // In a child: maps the region as a client does. Exits if it cannot.
  [[nodiscard]] RegionMapping map_as_client() const {
    auto mapping = RegionMapping::map(files_, kGranules, RegionMapping::Role::kClient);
    if (!mapping) ::_exit(10);
    return std::move(*mapping);
  }
  void open_windows(RegionMapping& mapping, std::uint64_t granules) const {
    if (!mapping.extend(files_, granules) || !mapping.extend_heaps(files_, kHeaps)) ::_exit(11);
  }

  // In a child: a plain, shared mapping of a whole file of holes.
  [[nodiscard]] std::byte* map_plainly() const {
    void* const all =
        ::mmap(nullptr, kPlainBytes, PROT_READ | PROT_WRITE, MAP_SHARED, plain_.get(), 0);
    if (all == MAP_FAILED) ::_exit(12);
    return static_cast<std::byte*>(all);
  }

  RegionFiles files_ = RegionFiles::create("test", kGranules).value();
  platform::Descriptor plain_ =
      platform::make_sealed_memfd("window_commit_test", kPlainBytes).value();
  // How far the client's windows are open, as extend() rounds it.
  std::uint64_t window_granules_ = [this] {
    auto mapping = RegionMapping::map(files_, kGranules, RegionMapping::Role::kClient).value();
    mapping.extend(files_, 1).value();
    return mapping.window_granules();
  }();
};

}  // namespace allot::region
