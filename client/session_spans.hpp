// What a session remembers of its spans that are in no heap's list. Private memory.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <vector>

namespace allot::detail {

// Spans in reserve, by what they can be used for.
struct SpareKind {
  std::uint32_t granules;
  std::uint32_t words;
  friend auto operator<=>(const SpareKind&, const SpareKind&) = default;
};

struct LargeSpan {
  std::uint32_t granules = 0;
  bool cached = false;  // its word is free and nobody uses it
};

// A span of a reservation: one large block.
struct GrownSpan {
  std::uint32_t first = 0;
  std::uint32_t granules = 0;
  bool clean = false;   // all zero when it was granted
  bool carved = false;  // false: its grant came too late for its caller
};

struct Reservation {
  std::uint32_t end = 0;
  std::uint32_t granted_end = 0;
  std::vector<GrownSpan> spans;  // side by side, from the beginning to granted_end
};
using Reservations = std::map<std::uint32_t, Reservation>;  // by first granule

}  // namespace allot::detail
