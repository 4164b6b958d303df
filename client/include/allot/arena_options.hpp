// What an arena is made of: its kind, source, steps and limits, and what it does when it is full.
//
// Read by the named constructors of Arena (arena.hpp). Every limit has its name, unit and default
// here. Plain values; an ArenaSource keeps the session it names alive, and must not outlive the
// arena it names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <allot/errc.hpp>
#include <allot/export.hpp>
#include <allot/place.hpp>

namespace allot {

class Arena;
class Session;

enum class ArenaKind : std::uint8_t { kFixed, kChained, kVirtual, kChainedVirtual };

/// "fixed", "chained", "virtual", "chained virtual". Static storage.
ALLOT_EXPORT std::string_view describe(ArenaKind kind) noexcept;

/// Where an arena's memory comes from.
class ALLOT_EXPORT ArenaSource {
 public:
  enum class Kind : std::uint8_t { kPages, kRegion, kArena };

  /// Pages of this process: mmap, unmapped at release. All kinds.
  ArenaSource() noexcept = default;
  /// Memory of a region, owned by the session and freed at release. All kinds. Fixed and chained
  /// arenas take blocks, which are wiped before use; virtual ones a reservation, in which each
  /// commit is a span that the daemon grants, in units of 64 KiB.
  // NOLINTNEXTLINE(google-explicit-constructor): {.source = session} is how it is said.
  ArenaSource(const Session& session);
  /// Pushes of another arena, of which the new one is a child: the parent refuses to pop below it
  /// and to be cleared until the child is released. For fixed and chained arenas.
  // NOLINTNEXTLINE(google-explicit-constructor)
  ArenaSource(Arena& parent) noexcept : kind_(Kind::kArena), parent_(&parent) {}

  [[nodiscard]] Kind kind() const noexcept { return kind_; }
  [[nodiscard]] Arena* parent() const noexcept { return parent_; }
  [[nodiscard]] const std::shared_ptr<Session>& session() const noexcept { return session_; }

 private:
  Kind kind_ = Kind::kPages;
  Arena* parent_ = nullptr;
  std::shared_ptr<Session> session_;
};

/// What push() does when there is no more memory. try_push() always returns nullptr.
enum class WhenFull : std::uint8_t {
  kReturnNull,  // nullptr; Arena::last_error() says why
  kAbort,       // one line on standard error that names the push and the arena, then abort()
};

/// Debug checks of one arena: fill patterns, poison under ASan, reports of misuse. With them each
/// push is a call into the library.
enum class ArenaChecks : std::uint8_t { kOff, kOn };

#if defined(NDEBUG)
inline constexpr ArenaChecks kDefaultArenaChecks = ArenaChecks::kOff;
#else
inline constexpr ArenaChecks kDefaultArenaChecks = ArenaChecks::kOn;
#endif

/// What happened in an arena that has a hook.
struct ArenaEvent {
  enum class Kind : std::uint8_t { kPush, kPop, kGrow, kClear, kScopeBegin, kScopeEnd, kRelease };
  Kind kind = Kind::kPush;
  std::string_view arena;         // its name
  const void* address = nullptr;  // of a push or a new block
  std::size_t size_bytes = 0;     // pushed, popped, acquired or committed
  std::size_t used_bytes = 0;     // afterwards
  Place place = {};               // of the call, where it is known
};

/// "push", "pop", ... Static storage.
ALLOT_EXPORT std::string_view describe(ArenaEvent::Kind kind) noexcept;

/// Told of each event, in the thread that causes it; must not use the arena. A `locked` arena calls
/// it with its mutex held.
struct ArenaHook {
  void (*call)(void* context, const ArenaEvent& event) noexcept = nullptr;
  void* context = nullptr;
};

inline constexpr std::size_t kArenaReserveBytes = std::size_t{64} << 30;
/// What kArenaReserveBytes means in a region, whose address space is shared by all its sessions;
/// less, by halves, where its limits or its size leave no room.
inline constexpr std::size_t kArenaRegionReserveBytes = std::size_t{1} << 30;
inline constexpr std::size_t kArenaPageCommitBytes = std::size_t{1} << 20;
inline constexpr std::size_t kArenaRegionCommitBytes = std::size_t{4} << 20;
inline constexpr std::size_t kNoArenaLimit = ~std::size_t{0};

/// What the named constructors of Arena take; each reads what its kind needs.
struct ArenaOptions {
  /// Shown in reports; at most 31 bytes are kept.
  std::string_view name = "arena";
  /// Where its memory comes from; local pages unless told.
  ArenaSource source = {};
  /// Chained: the first block; later ones double up to max_block_bytes. A push larger than the next
  /// block gets one of its own.
  std::size_t block_bytes = std::size_t{64} << 10;
  std::size_t max_block_bytes = std::size_t{16} << 20;
  /// Virtual kinds: the first commit; later ones double up to max_commit_bytes. 0: what suits the
  /// source; kArenaPageCommitBytes, or kArenaRegionCommitBytes, where each commit is a message.
  std::size_t commit_bytes = std::size_t{64} << 10;
  std::size_t max_commit_bytes = 0;
  /// Chained and virtual kinds: bytes asked of the source at most; it may round each block up to
  /// pages.
  std::size_t limit_bytes = kNoArenaLimit;
  /// Bytes of popped blocks that are kept for the next growth instead of going back.
  std::size_t retain_bytes = std::size_t{32} << 20;
  /// Unit of commits and alignment of blocks of local pages: a power of two, at least the machine's
  /// page. 0: the machine's page. From 2 MiB on, huge pages are asked for.
  std::size_t page_bytes = 0;
  /// What push() does without memory.
  WhenFull when_full = WhenFull::kReturnNull;
  /// May be used by several threads at once: each call takes a mutex.
  bool locked = false;
  /// Told of each event; none costs nothing.
  ArenaHook hook = {};
  /// Fill patterns, poison and reports of misuse.
  ArenaChecks checks = kDefaultArenaChecks;
};

/// A position of one arena, to come back to by pop_to(). Opaque; plain data.
struct ArenaMark {
  std::uint64_t offset = 0;  // used_bytes() when it was taken
  std::uint64_t stamp = 0;   // which arena, and how often it had been cleared
  friend bool operator==(const ArenaMark&, const ArenaMark&) = default;
};

namespace detail {
/// What Arena::last_error() will say, for parts of the library that are headers only.
ALLOT_EXPORT void set_last_arena_error(Errc why) noexcept;
}  // namespace detail

}  // namespace allot
