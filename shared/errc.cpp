#include <allot/errc.hpp>

#include <string>

namespace allot {

std::string_view describe(Errc errc) noexcept {
  switch (errc) {
    case Errc::kOk: return "no error";
    case Errc::kSizeZero: return "a block of 0 bytes was asked for";
    case Errc::kSizeTooLarge: return "the size is larger than any block can be";
    case Errc::kBadAlignment: return "the alignment is not a power of two in the allowed range";
    case Errc::kBadName: return "a name has 1 to 63 printable ASCII characters and no blanks";
    case Errc::kBadArgument: return "an argument is out of range";
    case Errc::kNotInRegion: return "the address lies outside the region";
    case Errc::kNotABlock: return "no block lies at this address";
    case Errc::kInteriorPointer: return "the address points into the middle of a block";
    case Errc::kDoubleFree: return "the block is free already";
    case Errc::kNotOwner: return "the block belongs to another session";
    case Errc::kStaleHandle: return "the handle is stale: its block was freed";
    case Errc::kForeignRegion: return "the handle belongs to another region";
    case Errc::kNotOffered: return "the block's owner has not offered it";
    case Errc::kCorruptWord: return "the block's own word makes no sense: a member overwrote it";
    case Errc::kTypeMismatch: return "the block is too small or badly aligned for this type";
    case Errc::kPublished: return "the block is published already";
    case Errc::kNotInPool: return "the block is not of this pool";
    case Errc::kSessionQuota: return "the session's quota is spent";
    case Errc::kUidQuota: return "the user's quota is spent";
    case Errc::kRegionFull: return "the region has no free span of this length";
    case Errc::kCommitLimit: return "the region's commit limit is reached";
    case Errc::kMachineFull: return "the machine is short of memory";
    case Errc::kTooManySessions: return "the region has no room for another session";
    case Errc::kTooManyHeaps: return "the region has no room for another thread's heap";
    case Errc::kTooManyNames: return "the region has no room for another name";
    case Errc::kRateLimit: return "too many messages a second";
    case Errc::kTooManyWatches: return "the connection watches too many sessions already";
    case Errc::kReserveLimit:
      return "the limit of reserved address space is reached: reserve less, or raise the daemon's "
             "*_reserve_bytes";
    case Errc::kTooManyPools: return "the session has no room for another pool";
    case Errc::kAddressSpace: return "the process has no room in its address space";
    case Errc::kNameTaken: return "the name is taken";
    case Errc::kNameUnknown: return "no block has this name";
    case Errc::kNoDaemon: return "no allotd answers";
    case Errc::kDaemonGone: return "the connection to allotd was lost";
    case Errc::kDeadline: return "the deadline passed before allotd answered";
    case Errc::kNotAllowed: return "this user may not use the region";
    case Errc::kUnknownRegion: return "allotd serves no region of this name";
    case Errc::kLayoutMismatch: return "program and allotd were built with different layouts";
    case Errc::kProtocolVersion: return "program and allotd speak different protocol versions";
    case Errc::kBadMessage: return "the message is malformed";
    case Errc::kSecondHello: return "this connection has a session already";
    case Errc::kUnknownSession: return "there is no such session";
    case Errc::kForked: return "the session belongs to the parent process; connect anew";
    case Errc::kClosed: return "closed: the session or arena has ended";
    case Errc::kOtherPidNamespace: return "the peer lives in another pid namespace";
    case Errc::kUntrustedRegion: return "what the server handed over is not a sealed region";
    case Errc::kArenaFull: return "the arena's buffer, reservation or limit is full";
    case Errc::kArenaKind: return "an arena of this kind or source cannot do this";
    case Errc::kForeignMark: return "the mark was taken in another arena";
    case Errc::kStaleMark: return "the mark is stale: its arena was cleared";
    case Errc::kMarkAhead: return "the mark lies ahead of the arena's position";
    case Errc::kPopTooMuch: return "more bytes to pop than the arena has in use";
    case Errc::kNotLast: return "it is not the arena's last push";
    case Errc::kScopeOpen: return "a scope, a scratch or a child arena is still open above";
    case Errc::kScratchConflict: return "every scratch arena of the thread is named as a conflict";
    case Errc::kArenaShared: return "others hold the arena";
    case Errc::kReadOnly: return "attached for reading only";
    case Errc::kSystem: return "a system call failed";
  }
  return "unknown error";
}

namespace {

class Category final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "allot"; }
  [[nodiscard]] std::string message(int value) const override {
    return std::string(describe(static_cast<Errc>(value)));
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const Category kCategory;
  return kCategory;
}

}  // namespace allot
