// CoreRegion: a RegionCore over private memory, and the daemon's part around it done at once:
// commit, open the mapping, finish. For tests that care what the core decides, not about slices.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "daemon/core/region_core.hpp"
#include "tests/support/memory_region.hpp"

namespace allot::test {

inline constexpr std::uint32_t kRegionTag = 77;
inline constexpr std::uint64_t kPlenty = std::numeric_limits<std::uint64_t>::max();

class CoreRegion {
 public:
  explicit CoreRegion(std::uint64_t granules = 64, const core::Limits& limits = {});

  core::RegionCore& operator*() noexcept { return core_; }
  core::RegionCore* operator->() noexcept { return &core_; }
  [[nodiscard]] MemoryRegion& memory() noexcept { return memory_; }
  [[nodiscard]] region::RegionView view() const noexcept { return memory_.view(); }

  /// A session of `uid`; fails the test if it is refused.
  [[nodiscard]] std::uint32_t open_session(uid_t uid = 1000);
  /// plan_grant(), the memory opened, finish_grant(). The first granule of the first span.
  [[nodiscard]] Expected<std::uint64_t> grant(std::uint32_t session, std::uint32_t granules = 1,
                                              std::uint32_t count = 1,
                                              std::uint32_t words = region::kDefaultWords,
                                              std::uint32_t align_granules = 1);
  /// The same where it must work.
  [[nodiscard]] std::uint64_t granted(std::uint32_t session, std::uint32_t granules = 1,
                                      std::uint32_t count = 1,
                                      std::uint32_t words = region::kDefaultWords);
  /// attach_heap(), its ledger opened, finish_heap().
  [[nodiscard]] std::uint32_t attached_heap(std::uint32_t session);
  /// Cuts the span at `first` into blocks of `bin`, all free, as its session does.
  void carve(std::uint64_t first, std::uint32_t bin, std::uint32_t generation = 100);
  void carve_large(std::uint64_t first, std::uint32_t generation = 100);
  [[nodiscard]] detail::Atomic<std::uint32_t>& word(std::uint64_t first, std::uint32_t index = 0);
  /// The handle of block `index` of the span at `first`, as its word and carving are now.
  [[nodiscard]] Handle handle(std::uint64_t first, std::uint32_t index = 0);
  [[nodiscard]] region::SpanDescriptor descriptor(std::uint64_t granule) const;

  /// The image of `session` is gone; recovery to the end. Returns who ended.
  std::vector<core::RegionCore::Ended> recover(std::uint32_t session);
  std::vector<core::RegionCore::Ended> finish_recovery();
  /// Punches until there is nothing left to punch at `now_ns`.
  std::vector<core::FileRange> punch_all(std::uint64_t at_ns, std::uint32_t slice = 16);

  std::uint64_t now_ns = 1'000'000'000'000;

 private:
  MemoryRegion memory_;
  core::RegionCore core_;
};

/// The own word of a block of `session`.
[[nodiscard]] constexpr std::uint32_t owned_word(std::uint32_t session, std::uint32_t generation,
                                                 std::uint32_t flags = 0) {
  return detail::OwnWord::make(session, generation) | flags;
}

}  // namespace allot::test
