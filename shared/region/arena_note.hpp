// ArenaNote: what a process says of an arena of its own in the region, for people who ask.
//
// Written by the client whose arena it is, listed by the daemon; nobody acts on it. Notes lie
// behind the own word of a block that a session keeps for them (carve word 3, form kNotes): value
// words, in records of kStride words from word kFirst on. A block dies with its session, and its
// notes with it.
//
// A record is a sequence lock: an odd sequence word means that the rest is being written. Kind 0:
// the record is unused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <allot/detail/atomic.hpp>

#include "shared/region/geometry.hpp"
#include "shared/region/region_view.hpp"

namespace allot::region {

struct ArenaNoteWords {
  static constexpr std::uint32_t kForm = 3;     // in ChunkWords::kForm
  static constexpr std::uint32_t kFirst = 64;   // of the block's words
  static constexpr std::uint32_t kStride = 64;  // of a record, in which the others count
  static constexpr std::uint32_t kSequence = 0;
  static constexpr std::uint32_t kKind = 1;
  static constexpr std::uint32_t kUsed = 2;       // bytes, in three words, the lowest bits first
  static constexpr std::uint32_t kCommitted = 5;  // the same
  static constexpr std::uint32_t kReserved = 8;   // the same
  static constexpr std::uint32_t kName = 12;      // two bytes a word
  static constexpr std::uint32_t kNameWords = 16;
  static constexpr std::uint32_t kPlace = 28;  // the same
  static constexpr std::uint32_t kPlaceWords = 36;
  static constexpr std::uint32_t kRecords = (kWordsPerGranule - kFirst) / kStride;

  static constexpr std::uint32_t of_record(std::uint32_t record) noexcept {
    return kFirst + record * kStride;
  }
};

static_assert(ArenaNoteWords::kPlace + ArenaNoteWords::kPlaceWords == ArenaNoteWords::kStride);

/// Numbers that lie in shared memory.
enum class NotedKind : std::uint8_t {
  kUnused = 0,
  kFixed = 1,
  kChained = 2,
  kVirtual = 3,
  kChainedVirtual = 4
};

struct ArenaFigures {
  std::uint64_t used_bytes = 0;
  std::uint64_t committed_bytes = 0;
  std::uint64_t reserved_bytes = 0;
};

struct ArenaNote {
  NotedKind kind = NotedKind::kUnused;
  ArenaFigures figures;
  std::string name;
  std::string made_at;
};

/// Begins the note at `record`, the words of an unused record. What does not fit of `name` and of
/// `made_at` is cut off.
void begin_note(detail::Atomic<std::uint32_t>* record, NotedKind kind, std::string_view name,
                std::string_view made_at) noexcept;
void update_note(detail::Atomic<std::uint32_t>* record, const ArenaFigures& figures) noexcept;
void end_note(detail::Atomic<std::uint32_t>* record) noexcept;

/// The kRecords records of the span that begins at granule `first`; nullptr if it holds no notes.
[[nodiscard]] const detail::Atomic<std::uint32_t>* find_notes(const RegionView& view,
                                                              std::uint64_t first) noexcept;

/// Nothing if the record is unused, makes no sense, or is being written: its writer may have been
/// stopped, so nobody waits for it.
[[nodiscard]] std::optional<ArenaNote> read_note(const detail::Atomic<std::uint32_t>* record);

}  // namespace allot::region
