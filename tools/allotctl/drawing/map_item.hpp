// What a drawing of a region is made of, as the daemon's answer `map` gives it: items, owners,
// violations.
//
// Filled by map_pages.cpp, read by everything that draws. Plain values; texts hold nothing but
// printable ASCII (plain_text.hpp).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace allot::ctl {

enum class SpanKind : std::uint8_t {
  kFree,
  kReserved,  // set aside for a session, granted from elsewhere or not at all
  kMoving,    // changed while it was read, or of a kind that this program does not know
  kUncarved,
  kSmall,
  kMedium,
  kLarge,
  kChunked,
  kInvalid,
};

inline constexpr std::size_t kSpanKinds = 9;
/// As the daemon spells them, in the order of SpanKind.
inline constexpr std::array<std::string_view, kSpanKinds> kSpanKindNames = {
    "free", "reserved", "moving", "uncarved", "small", "medium", "large", "chunked", "invalid"};

[[nodiscard]] constexpr bool is_span(SpanKind kind) noexcept { return kind > SpanKind::kMoving; }

/// Some granules in a row that are one span, or none.
struct MapItem {
  std::uint64_t first = 0;
  std::uint64_t granules = 0;
  SpanKind kind = SpanKind::kFree;
  bool orphan = false;
  std::uint32_t session = 0;  // who has the span, or for whom it is reserved; 0: nobody
  std::uint64_t block_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t live_blocks = 0;
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t granted_unix_ns = 0;  // 0: unknown
  std::uint64_t violations = 0;
  // Session and blocks, where others than its session own blocks in it; those with most.
  std::vector<std::pair<std::uint32_t, std::uint64_t>> owners;

  /// Blocks in use over blocks, 0 to 1.
  [[nodiscard]] double occupancy() const noexcept {
    if (blocks == 0) return 0;
    return std::min(static_cast<double>(live_blocks) / static_cast<double>(blocks), 1.0);
  }
};

/// The state of a session that has ended, or that never was: nothing else is known of it.
inline constexpr std::string_view kGone = "gone";

struct MapOwner {
  std::uint32_t session = 0;
  std::uint64_t incarnation = 0;
  std::string state;
  std::string label;
  std::uint64_t pid = 0;
  std::uint64_t uid = 0;
  std::uint64_t spans = 0;
  std::uint64_t span_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t live_blocks = 0;
};

struct MapViolation {
  std::uint64_t granule = 0;
  std::string text;
};

}  // namespace allot::ctl
