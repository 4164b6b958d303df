// The messages between clients and the daemon: what they say and how they lie in 128 bytes.
//
// Used by both sides over a SOCK_SEQPACKET socket: one datagram, one message, always 128 bytes,
// little-endian: a 24-byte header and a body of at most 104 bytes; unused bytes are zero. Every
// request carries a number that its answer repeats; requests marked one-way have no answer.
// Changing a body changes kProtocolVersion and docs/protocol.md.
//
// | kind             | from   | answered by                                      |
// |------------------|--------|--------------------------------------------------|
// | Hello            | client | Welcome + 4 descriptors (Challenge before it, where the kernel has no SO_PEERPIDFD) |
// | ChallengeAnswer  | client | Welcome                                          |
// | GrantRequest     | client | Granted                                          |
// | ReturnSpan       | client | Done                                             |
// | Reserve          | client | Reserved                                         |
// | Unreserve        | client | Done                                             |
// | AdoptOrphan      | client | Adopted; Done if there is none                   |
// | AttachHeap       | client | HeapAttached                                     |
// | Resume           | client | Resumed                                          |
// | NextReservation  | client | Reserved, of 0 granules if there is none         |
// | NextPin          | client | Found, the null handle if there is none          |
// | Publish, Unpublish, Unpin, ClearChunks | client | Done                       |
// | Find             | client | Found                                            |
// | Watch            | client | Done, and PeerGone when the watched session ends |
// | FreedElsewhere   | client | one-way                                          |
// | Bye              | client | Done; the session's memory is recovered once its image unmapped it |
// | Failure          | daemon | the answer to any request that failed            |
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#include <allot/errc.hpp>
#include <allot/expected.hpp>

#include "shared/region/geometry.hpp"

namespace allot::protocol {

inline constexpr std::uint32_t kMessageMagic = 0x4D544C41;  // "ALTM"
inline constexpr std::uint16_t kProtocolVersion = 3;
inline constexpr std::size_t kMessageBytes = 128;

enum class Kind : std::uint16_t {
  kHello = 1,
  kChallengeAnswer = 2,
  kGrantRequest = 3,
  kReturnSpan = 4,
  kAttachHeap = 5,
  kPublish = 6,
  kUnpublish = 7,
  kFind = 8,
  kUnpin = 9,
  kWatch = 10,
  kFreedElsewhere = 11,
  kBye = 12,
  kReserve = 13,
  kUnreserve = 14,
  kClearChunks = 15,
  kAdoptOrphan = 16,
  kResume = 17,
  kNextReservation = 18,
  kNextPin = 19,
  kWelcome = 65,
  kChallenge = 66,
  kGranted = 67,
  kHeapAttached = 68,
  kFound = 69,
  kDone = 70,
  kPeerGone = 71,
  kFailure = 72,
  kReserved = 73,
  kAdopted = 74,
  kResumed = 75,
};

struct Header {
  std::uint32_t magic = kMessageMagic;
  std::uint16_t version = kProtocolVersion;
  std::uint16_t kind = 0;
  std::uint64_t request = 0;  // chosen by the client, repeated in the answer; 0 in PeerGone
  std::uint64_t reserved = 0;
};

using RegionName = std::array<char, region::kRegionNameBytes>;
using Label = std::array<char, region::kLabelBytes>;
using Name = std::array<char, region::kNameBytes>;

struct Hello {
  static constexpr Kind kKind = Kind::kHello;
  std::uint64_t fingerprint = 0;
  RegionName region{};
  Label label{};
};
struct ChallengeAnswer {
  static constexpr Kind kKind = Kind::kChallengeAnswer;
  std::uint64_t nonce = 0;
};
// `count` spans of `granules` each, side by side, each with `words` committed own words, the first
// aligned to align_granules. `at`: kAnywhere, or where the first begins: the beginning of a run of
// granules of a reservation of the sender that are not granted.
inline constexpr std::uint64_t kAnywhere = ~std::uint64_t{0};
struct GrantRequest {
  static constexpr Kind kKind = Kind::kGrantRequest;
  std::uint32_t granules = 0;
  std::uint32_t count = 0;
  std::uint32_t words = 0;
  std::uint32_t align_granules = 0;
  std::uint64_t at = kAnywhere;
};
// The span at `first`; or, where `granules` is not 0, the spans side by side that fill the granules
// from there. All or none.
struct ReturnSpan {
  static constexpr Kind kKind = Kind::kReturnSpan;
  std::uint64_t first = 0;
  std::uint64_t granules = 0;
};
// Address space for the sender alone: `granules`, or half as many as often as it takes, but at
// least `minimum`.
struct Reserve {
  static constexpr Kind kKind = Kind::kReserve;
  std::uint64_t granules = 0;
  std::uint64_t minimum = 0;
};
// Ends the reservation that begins at `first`; what was granted in it stays granted.
struct Unreserve {
  static constexpr Kind kKind = Kind::kUnreserve;
  std::uint64_t first = 0;
};
struct AttachHeap {
  static constexpr Kind kKind = Kind::kAttachHeap;
};
struct Publish {
  static constexpr Kind kKind = Kind::kPublish;
  std::uint64_t handle = 0;
  Name name{};
};
struct Unpublish {
  static constexpr Kind kKind = Kind::kUnpublish;
  std::uint64_t handle = 0;
  Name name{};
};
struct Find {
  static constexpr Kind kKind = Kind::kFind;
  Name name{};
};
struct Unpin {
  static constexpr Kind kKind = Kind::kUnpin;
  std::uint64_t handle = 0;
};
struct Watch {
  static constexpr Kind kKind = Kind::kWatch;
  RegionName region{};
  std::uint64_t session = 0;
  std::uint64_t incarnation = 0;
};
struct FreedElsewhere {
  static constexpr Kind kKind = Kind::kFreedElsewhere;
  std::uint64_t first = 0;
};
struct Bye {
  static constexpr Kind kKind = Kind::kBye;
};
struct ClearChunks {
  static constexpr Kind kKind = Kind::kClearChunks;
  std::uint64_t handle = 0;
};

// For a span of the sender's user that is cut for size class `bin` and whose session is gone.
struct AdoptOrphan {
  static constexpr Kind kKind = Kind::kAdoptOrphan;
  std::uint64_t bin = 0;
};

/// In place of Hello, on a new connection: goes on with a session that an earlier daemon of the same
/// region welcomed. The kernel must show that the sender is the process that had it.
struct Resume {
  static constexpr Kind kKind = Kind::kResume;
  std::uint64_t fingerprint = 0;
  RegionName region{};
  std::uint64_t region_created_unix_ns = 0;  // as the directory's header says
  std::uint64_t session = 0;
  std::uint64_t incarnation = 0;
};

/// Which reservation of the sender begins at granule `from`, or next behind it?
struct NextReservation {
  static constexpr Kind kKind = Kind::kNextReservation;
  std::uint64_t from = 0;
};

/// Which block that the sender has pinned has the least handle of those above `above`?
struct NextPin {
  static constexpr Kind kKind = Kind::kNextPin;
  std::uint64_t above = 0;
};

struct Welcome {
  static constexpr Kind kKind = Kind::kWelcome;
  std::uint32_t session = 0;
  std::uint32_t region_tag = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t granules = 0;
  std::uint64_t session_quota_bytes = 0;
};
struct Challenge {
  static constexpr Kind kKind = Kind::kChallenge;
  std::uint64_t nonce = 0;
};
struct Granted {
  static constexpr Kind kKind = Kind::kGranted;
  std::uint64_t first = 0;
  std::uint32_t granules = 0;
  std::uint32_t count = 0;
  std::uint64_t words = 0;
  std::uint64_t high_water_granules = 0;
  std::uint64_t used_granules = 0;  // that may hold what was written there before; the others are 0
};
struct Reserved {
  static constexpr Kind kKind = Kind::kReserved;
  std::uint64_t first = 0;
  std::uint64_t granules = 0;
};
// The span at `first` is the receiver's, its live blocks are whose they were.
struct Adopted {
  static constexpr Kind kKind = Kind::kAdopted;
  std::uint64_t first = 0;
  std::uint64_t high_water_granules = 0;
};
struct Resumed {
  static constexpr Kind kKind = Kind::kResumed;
  std::uint64_t boot_epoch = 0;  // which daemon of this region answers: 1, 2, ...
};
struct HeapAttached {
  static constexpr Kind kKind = Kind::kHeapAttached;
  std::uint64_t heap = 0;
};
struct Found {
  static constexpr Kind kKind = Kind::kFound;
  std::uint64_t handle = 0;
  std::uint64_t size_bytes = 0;
};
struct Done {
  static constexpr Kind kKind = Kind::kDone;
};
struct PeerGone {
  static constexpr Kind kKind = Kind::kPeerGone;
  std::uint64_t session = 0;
  std::uint64_t incarnation = 0;
};
struct Failure {
  static constexpr Kind kKind = Kind::kFailure;
  std::uint64_t errc = 0;
  std::array<char, 96> detail{};
};

using Body =
    std::variant<Hello, ChallengeAnswer, GrantRequest, ReturnSpan, AttachHeap, Publish, Unpublish,
                 Find, Unpin, Watch, FreedElsewhere, Bye, Reserve, Unreserve, ClearChunks, Welcome,
                 Challenge, Granted, HeapAttached, Found, Done, PeerGone, Failure, Reserved,
                 AdoptOrphan, Adopted, Resume, NextReservation, NextPin, Resumed>;

struct Message {
  std::uint64_t request = 0;
  Body body;
};

using Wire = std::array<std::byte, kMessageBytes>;

/// The 128 bytes of `message`. Never fails.
[[nodiscard]] Wire encode(const Message& message) noexcept;

/// The message in `bytes`, which may be anything. kBadMessage (wrong size, magic, kind, a set
/// reserved bit, a text without its NUL) or kProtocolVersion; the detail names what is wrong.
[[nodiscard]] Expected<Message> decode(std::span<const std::byte> bytes);

/// The text in `field` up to its NUL; decode() made sure there is one.
template <std::size_t N>
[[nodiscard]] std::string_view text(const std::array<char, N>& field) noexcept {
  const std::string_view all(field.data(), N);
  return all.substr(0, all.find('\0'));
}

/// Copies as much of `from` into `field` as fits with a final NUL.
template <std::size_t N>
void set_text(std::array<char, N>& field, std::string_view from) noexcept {
  field.fill('\0');
  from.copy(field.data(), N - 1);
}

/// True for a name that may be published or given to a region: 1 to limit-1 bytes, printable
/// ASCII without spaces.
[[nodiscard]] bool is_valid_name(std::string_view name, std::size_t limit) noexcept;

/// A Failure of `error`, its detail cut to fit.
[[nodiscard]] Failure make_failure(const Error& error) noexcept;
/// The Error that a Failure tells of.
[[nodiscard]] Error to_error(const Failure& failure);

}  // namespace allot::protocol
