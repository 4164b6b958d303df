// AuditedRegion: a small region in which everything that an audit looks at occurs once, and adds up.
//
// For tests that plant one fault and look whether it is named. Session `a` has a span of 16-byte
// blocks, one of 1 KiB blocks, an uncarved one and a large block; `b` owns one of a's blocks and
// all that an orphan still holds; the service keeps one block under a name. Every block that is
// live has been counted by a heap.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/core/audit_input.hpp"
#include "shared/region/audit.hpp"
#include "tests/support/core_region.hpp"

namespace allot::test {

class AuditedRegion {
 public:
  static constexpr std::uint64_t kGranules = 64;
  static constexpr std::uint32_t kHeaps = 2;

  AuditedRegion();

  /// Marks a free block as allocated by `session`, and counts that in its heap.
  void allocate(std::uint64_t first, std::uint32_t index, std::uint32_t session,
                std::uint32_t flags = 0);
  /// The same backwards.
  void release(std::uint64_t first, std::uint32_t index, std::uint32_t session);

  [[nodiscard]] region::AuditInput input() const;
  [[nodiscard]] region::AuditReport audit(bool quiet = false,
                                          std::uint64_t budget_words = 1U << 20) const;

  CoreRegion region{kGranules};
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  std::uint32_t heap_of_a = 0;
  std::uint32_t heap_of_b = 0;
  std::uint64_t small = 0;  // first granules of a's spans
  std::uint64_t medium = 0;
  std::uint64_t empty = 0;
  std::uint64_t large = 0;
  std::uint64_t orphan = 0;
};

inline constexpr std::uint32_t kSmallBin = 0;
inline constexpr std::uint32_t kKilobyteBin = region::bin_of(1024);

/// Runs `audit` to its end in slices; fails the test if it takes more than `max_steps`.
const region::AuditReport& finish(region::Audit& audit, std::uint64_t budget_words,
                                  std::uint64_t max_steps = 1'000'000);

/// The texts of the report's violations, a line each.
[[nodiscard]] std::string texts(const region::AuditReport& report);

/// Expects that the audit found `wanted` and nothing else.
void expect_only(const region::AuditReport& report, const region::Violation& wanted);

}  // namespace allot::test
