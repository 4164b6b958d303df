// What must hold after the daemon, or a client and the daemon, were killed at some instruction: another
// daemon goes on with the region, nobody else has lost anything, and in the end everything comes back.
#pragma once

#include <cstdint>
#include <functional>

#include "daemon/core/limits.hpp"
#include "daemon/core/region_core.hpp"
#include "tests/support/memory_region.hpp"
#include "tests/support/seed.hpp"

namespace allot::test {

/// Fails the test for each violation; nothing may be planned, and the clients may have counted nothing.
void expect_clean_audit(const core::RegionCore& core);
/// All sessions die and all names end: nothing may stay granted, reserved or named.
void expect_all_comes_back(core::RegionCore& core);
/// Fails the test if a daemon cannot go on with `image`, of whose sessions `dead` (0: none) has died.
/// `scratch` has as many granules.
void expect_good_aftermath(const MemoryRegion& image, MemoryRegion& scratch,
                           const core::Limits& limits, std::uint32_t dead = 0);

class CoreAftermath {
 public:
  CoreAftermath(const MemoryRegion& memory, const core::Limits& limits)
      : memory_(memory), limits_(limits), image_(memory.granules()), scratch_(memory.granules()) {}

  /// Runs `event`, which changes the memory, and checks what a kill leaves at up to `most` of its
  /// stores, chance decides which. Returns how many it checked. Without kStoreTraceWorks: runs it.
  std::uint64_t kill_everywhere(const std::function<void()>& event, Random& random,
                                std::uint64_t most);

 private:
  const MemoryRegion& memory_;
  core::Limits limits_;
  MemoryRegion image_;
  MemoryRegion scratch_;
};

}  // namespace allot::test
