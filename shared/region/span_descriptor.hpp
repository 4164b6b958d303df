// The span descriptor: one 64-bit word in the directory for each granule.
//
// Written by the daemon alone, with one store; that store is the grant. Read by everybody. The
// first granule of a span carries its head; the others say how far back the head is, which is a
// hint that head_of() in region_view.hpp checks.
//
// | state    | meaning                                        | left by                       |
// |----------|------------------------------------------------|-------------------------------|
// | absent   | nobody has the granule; it may hold no memory  | grant                         |
// | granted  | head: a session has the span                   | return, recovery              |
// | orphan   | head: the session is gone, blocks still live   | the last block's free (daemon)|
// | interior | belongs to the span whose head is `granules` back | with its head              |
#pragma once

#include <cstdint>

namespace allot::region {

enum class SpanState : std::uint8_t { kAbsent = 0, kGranted = 1, kOrphan = 2, kInterior = 3 };

struct SpanDescriptor {
  SpanState state = SpanState::kAbsent;
  std::uint32_t session = 0;     // 12 bits; 0 for orphans
  std::uint32_t granules = 0;    // 25 bits: length of the span; for interior: distance to the head
  std::uint32_t word_units = 0;  // 20 bits: committed own words / kWordsPerUnit

  static constexpr std::uint32_t kMaxWordUnits = 0xF'FFFF;

  static constexpr SpanDescriptor decode(std::uint64_t bits) noexcept {
    return {static_cast<SpanState>(bits & 0x7), static_cast<std::uint32_t>((bits >> 3) & 0xFFF),
            static_cast<std::uint32_t>((bits >> 15) & 0x1FF'FFFF),
            static_cast<std::uint32_t>((bits >> 40) & kMaxWordUnits)};
  }
  [[nodiscard]] constexpr std::uint64_t encode() const noexcept {
    return static_cast<std::uint64_t>(state) | (std::uint64_t{session} << 3) |
           (std::uint64_t{granules} << 15) | (std::uint64_t{word_units} << 40);
  }
  [[nodiscard]] constexpr bool is_head() const noexcept {
    return state == SpanState::kGranted || state == SpanState::kOrphan;
  }
  friend constexpr bool operator==(const SpanDescriptor&, const SpanDescriptor&) = default;
};

}  // namespace allot::region
