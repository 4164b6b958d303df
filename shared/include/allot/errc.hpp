// Every error that Allot names, as values of one std::error_category.
//
// Used by clients, by the daemon and on the wire: the numbers are part of the protocol, so a value
// once released keeps its number. Each text says what happened; the `detail` of an allot::Error
// (expected.hpp) adds who, how much, which limit and what to do.
#pragma once

#include <cstdint>
#include <string_view>
#include <system_error>
#include <type_traits>

#include <allot/export.hpp>

namespace allot {

enum class Errc : std::uint16_t {
  kOk = 0,
  // What the caller asked for makes no sense.
  kSizeZero = 1,
  kSizeTooLarge = 2,
  kBadAlignment = 3,
  kBadName = 4,
  kBadArgument = 5,
  // A pointer or a handle does not name what the caller thinks.
  kNotInRegion = 10,
  kNotABlock = 11,
  kInteriorPointer = 12,
  kDoubleFree = 13,
  kNotOwner = 14,
  kStaleHandle = 15,
  kForeignRegion = 16,
  kNotOffered = 17,
  kCorruptWord = 18,
  kTypeMismatch = 19,
  kPublished = 20,
  kNotInPool = 21,
  // Limits.
  kSessionQuota = 30,
  kUidQuota = 31,
  kRegionFull = 32,
  kCommitLimit = 33,
  kMachineFull = 34,
  kTooManySessions = 35,
  kTooManyHeaps = 36,
  kTooManyNames = 37,
  kRateLimit = 38,
  kAddressSpace = 39,
  kTooManyWatches = 40,
  kReserveLimit = 41,
  kTooManyPools = 42,
  // Names.
  kNameTaken = 50,
  kNameUnknown = 51,
  // The service and the conversation with it.
  kNoDaemon = 60,
  kDaemonGone = 61,
  kDeadline = 62,
  kNotAllowed = 63,
  kUnknownRegion = 64,
  kLayoutMismatch = 65,
  kProtocolVersion = 66,
  kBadMessage = 67,
  kSecondHello = 68,
  kUnknownSession = 69,
  kForked = 70,
  kClosed = 71,
  kOtherPidNamespace = 72,
  kUntrustedRegion = 73,
  // Arenas.
  kArenaFull = 80,
  kArenaKind = 81,
  kForeignMark = 82,
  kStaleMark = 83,
  kMarkAhead = 84,
  kPopTooMuch = 85,
  kNotLast = 86,
  kScopeOpen = 87,
  kScratchConflict = 88,
  kArenaShared = 89,
  kReadOnly = 90,
  kSystem = 99,
};

/// The category of Errc: name "allot". Thread-safe; lives for ever.
ALLOT_EXPORT const std::error_category& error_category() noexcept;

/// One line in plain words for `errc`, without a full stop. Never empty; unknown numbers get
/// "unknown error". Static storage.
ALLOT_EXPORT std::string_view describe(Errc errc) noexcept;

/// Makes Errc usable wherever a std::error_code is expected.
inline std::error_code make_error_code(Errc errc) noexcept {
  return {static_cast<int>(errc), error_category()};
}

}  // namespace allot

template <>
struct std::is_error_code_enum<allot::Errc> : std::true_type {};
