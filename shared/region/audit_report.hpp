// What an audit finds: sums in bytes and blocks, and violations in words.
//
// Made by Audit and SpanWalk; printed by the control socket, by tests and by whoever runs an audit
// of an embedded region. Plain values: nothing here refers to the region.
//
// Invariants
// 1. live + cached + free + tail == granted, for each span, each session and the region: every
//    byte of a granted span is counted once (check_equation).
// 2. A violation names the granule of the span, the index of the own word in it, and the word
// found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "shared/region/layout.hpp"
#include "shared/region/region_view.hpp"

namespace allot::region {

/// Bytes of spans by what they serve. Live: a session or the service owns the block. Cached: free
/// for the session that has the span. Free: the same in an orphan. Tail: left over by the carving.
struct SpaceSums {
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t cached_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t tail_bytes = 0;
  std::uint64_t live_blocks = 0;
  std::uint64_t spans = 0;

  SpaceSums& operator+=(const SpaceSums& other) noexcept;
  friend bool operator==(const SpaceSums&, const SpaceSums&) = default;
};

/// The equation of invariant 1.
[[nodiscard]] constexpr bool check_equation(const SpaceSums& sums) noexcept {
  return sums.live_bytes + sums.cached_bytes + sums.free_bytes + sums.tail_bytes ==
         sums.granted_bytes;
}

/// What one owner has by own words, in whichever spans.
struct OwnerSums {
  std::uint64_t blocks = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t offered_blocks = 0;
  std::uint64_t exposed_blocks = 0;

  OwnerSums& operator+=(const OwnerSums& other) noexcept;
  friend bool operator==(const OwnerSums&, const OwnerSums&) = default;
};

/// One span, as `allotctl spans` shows it.
struct SpanSums {
  SpanRef span;
  Carving carving;
  SpaceSums space;
  std::uint64_t kept_blocks = 0;
  std::uint64_t offered_blocks = 0;
};

/// What heaps say that they did, by their counters.
struct HeapSums {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;

  friend bool operator==(const HeapSums&, const HeapSums&) = default;
};

/// One session: the spans it has, the blocks it owns, and what its heaps did.
struct SessionSums {
  std::uint32_t session = 0;
  SpaceSums space;
  OwnerSums owned;
  HeapSums heaps;
};

enum class Fault : std::uint8_t {
  kDescriptorMalformed,  // word: the descriptor
  kInteriorStray,        // word: the descriptor; no head covers the granule, or another one does
  kSpanOfAbsentSession,  // word: the session
  kCarveInvalid,         // word: the carve word
  kWordInvalid,          // a block of a carved span whose word is invalid
  kWordBeyondBlocks,     // a word behind the last block that is not zero
  kOwnerAbsent,          // a block owned by a session that is not there
  kOwnerReserved,        // an owner that nothing uses
  kTakenSmallBlock,      // taken, in a span of many blocks
  kFlagsWrong,           // offered or exposed on a free word, or kept and not just exposed
  kKeptWithoutName,
  kNameWithoutBlock,  // granule, word: of the block its handle names; index: slot of the name
  kTableState,      // session table: index session, word its state, expected: 1 if the core has it
  kTableDiffers,    // session table: index session, word found, expected the core's bytes
  kSessionDiffers,  // descriptors: index session, word their bytes, expected the core's
  kRegionDiffers,   // descriptors: word their bytes, expected the core's
  kOrphansDiffer,   // descriptors: word their orphans, expected the core's
  kCountersDiffer,  // word: live blocks by words, expected: by the heaps' counters
  kEquation,        // granule: the span whose bytes do not add up
};

struct Violation {
  Fault fault = Fault::kDescriptorMalformed;
  std::uint64_t granule = 0;
  std::uint64_t index = 0;
  std::uint64_t word = 0;
  std::uint64_t expected = 0;

  friend bool operator==(const Violation&, const Violation&) = default;
};

/// A short name in snake_case, for JSON. Static storage.
[[nodiscard]] std::string_view fault_name(Fault fault) noexcept;

/// One line in plain words: where, what was found, what should be there.
[[nodiscard]] std::string violation_text(const Violation& violation);

/// At most this many violations are kept; violation_count counts them all.
inline constexpr std::size_t kMaxViolations = 256;

struct AuditReport {
  std::vector<Violation> violations;
  std::uint64_t violation_count = 0;
  SpaceSums total;
  std::uint64_t orphans = 0;
  OwnerSums kept;                     // what the service owns: published blocks
  std::vector<SessionSums> sessions;  // ascending; those that have a span, a block or a heap
  std::uint64_t allocations = 0;      // of all heaps now attached
  std::uint64_t frees = 0;
  std::uint64_t heaps = 0;
  /// Live blocks by counters minus live blocks by words.
  std::int64_t block_difference = 0;
  std::uint32_t passes = 0;
  /// True: nothing moved during the last pass, and everything agrees to the block.
  bool exact = false;
  /// True: a difference was put down to what moved meanwhile, or to a thread in mid-operation.
  bool in_motion = false;

  [[nodiscard]] bool is_clean() const noexcept { return violation_count == 0; }
};

}  // namespace allot::region
