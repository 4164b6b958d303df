// Arena: memory that is pushed in order and popped in reverse: a cursor over blocks.
//
// For one thread of one process, unless made with `locked`. One class with a growth policy; four
// constructors say which:
//   fixed            one buffer, the caller's or from a source; full is nullptr
//   chained          a list of blocks; a new one when the last is full; old addresses stay
//   reserve          virtual: one reservation of address space, committed as it grows; contiguous
//   reserve_chained  a reservation, then another one; fails only when memory does
// push() is an add, a mask and a compare, inlined. Everything else is a call. Nothing moves: an
// address stays good until a pop, clear() or release() takes it back. Control data lies outside the
// payload. Each call is noexcept; nullptr or an Errc says that it failed, and then nothing has
// changed; last_error() says why. A scratch (scratch.hpp) opened on the arena locks this handle
// until it ends.
//
// A failed constructor gives an empty Arena and says why in last_error(); a push on it fails with
// kClosed. After fork() the child may use its copy of an arena of pages; one in a region is the
// parent's.
#pragma once

#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <allot/arena_options.hpp>
#include <allot/detail/arena_bump.hpp>

namespace allot {

namespace detail {
/// The youngest open scope or scratch of `arena`: one more than the offset where it began; 0 if
/// there is none.
[[nodiscard]] ALLOT_EXPORT std::uint64_t open_scope(const Arena& arena) noexcept;
/// The same; any that opens later has a larger one. For that it may push a byte.
[[nodiscard]] ALLOT_EXPORT std::uint64_t settle_in_scope(Arena& arena) noexcept;

class ArenaCore;
struct ArenaAccess;
struct DestructorNode;
struct ScopeAccess;
}  // namespace detail

class ALLOT_EXPORT Arena {
 public:
  /// What push_aligner() returns when it failed.
  static constexpr std::size_t kFailed = ~std::size_t{0};

  // --- the four kinds ---

  /// Over the caller's buffer, which stays the caller's and must outlive the arena. An empty buffer
  /// is kBadArgument.
  [[nodiscard]] static Arena fixed(std::span<std::byte> buffer, const ArenaOptions& options = {},
                                   Place place = Place::here()) noexcept;
  /// Over `size_bytes` (1 .. 2^47) of options.source.
  [[nodiscard]] static Arena fixed(std::size_t size_bytes, const ArenaOptions& options = {},
                                   Place place = Place::here()) noexcept;
  /// A first block of options.block_bytes, and more as it grows, the next twice as large up to
  /// options.max_block_bytes. Fails only when its source does, or at options.limit_bytes.
  [[nodiscard]] static Arena chained(const ArenaOptions& options = {},
                                     Place place = Place::here()) noexcept;
  /// Reserves `reserve_bytes` of address space: half as much if refused, and so on down to
  /// options.commit_bytes; then kAddressSpace, in a region kReserveLimit. Commits nothing yet.
  [[nodiscard]] static Arena reserve(std::size_t reserve_bytes = kArenaReserveBytes,
                                     const ArenaOptions& options = {},
                                     Place place = Place::here()) noexcept;
  /// As reserve(), and one more of `reserve_bytes` each time one is full.
  [[nodiscard]] static Arena reserve_chained(std::size_t reserve_bytes,
                                             const ArenaOptions& options = {},
                                             Place place = Place::here()) noexcept;

  Arena() noexcept = default;
  /// Moves the handle; scopes open on it are misuse and reported.
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  /// As release(); if that is refused, the memory stays until what is open has ended.
  ~Arena() {
    if (core_ != nullptr) destroy();
  }

  /// False if its constructor failed, after a move and after release().
  explicit operator bool() const noexcept { return core_ != nullptr; }
  /// Why this thread's latest arena call failed.
  [[nodiscard]] static Errc last_error() noexcept;

  // --- push ---

  /// `size_bytes` at `alignment` (a power of two; the address is aligned). Contents unspecified,
  /// but never another session's bytes; with checks 0xA5. Size 0 gives an address of its own.
  /// nullptr: kSizeTooLarge, kBadAlignment, kArenaFull, kMachineFull, kAddressSpace, or what the
  /// source says; with WhenFull::kAbort the process ends instead. No syscall unless the arena
  /// grows.
  [[nodiscard, gnu::always_inline]] void* push(std::size_t size_bytes, std::size_t alignment,
                                               Place place = Place::here()) noexcept {
    void* fast = nullptr;
    if (bump(size_bytes, alignment, fast)) [[likely]]
      return fast;
    return push_slow(size_bytes, alignment, kMust, place.file, place.line);
  }
  /// At the arena's own alignment: set_auto_align(), 16 if never set.
  [[nodiscard, gnu::always_inline]] void* push(std::size_t size_bytes,
                                               Place place = Place::here()) noexcept {
    void* fast = nullptr;
    if (detail::bump_push(bump_, size_bytes, bump_.align_mask, fast)) [[likely]]
      return fast;
    return push_slow(size_bytes, 0, kMust | kAuto, place.file, place.line);
  }
  /// As push(), but nullptr whatever the arena's WhenFull.
  [[nodiscard, gnu::always_inline]] void* try_push(std::size_t size_bytes, std::size_t alignment,
                                                   Place place = Place::here()) noexcept {
    void* fast = nullptr;
    if (bump(size_bytes, alignment, fast)) [[likely]]
      return fast;
    return push_slow(size_bytes, alignment, 0, place.file, place.line);
  }
  /// At the arena's own alignment.
  [[nodiscard, gnu::always_inline]] void* try_push(std::size_t size_bytes,
                                                   Place place = Place::here()) noexcept {
    void* fast = nullptr;
    if (detail::bump_push(bump_, size_bytes, bump_.align_mask, fast)) [[likely]]
      return fast;
    return push_slow(size_bytes, 0, kAuto, place.file, place.line);
  }
  /// As push(), all zero. Clears only what was in use before: fresh pages are zero already.
  [[nodiscard, gnu::always_inline]] void* push_zero(std::size_t size_bytes, std::size_t alignment,
                                                    Place place = Place::here()) noexcept {
    void* fast = nullptr;
    if (bump(size_bytes, alignment, fast)) [[likely]] {
      clear_dirty(fast, size_bytes);
      return fast;
    }
    return push_slow(size_bytes, alignment, kZero | kMust, place.file, place.line);
  }
  /// At the arena's own alignment.
  [[nodiscard, gnu::always_inline]] void* push_zero(std::size_t size_bytes,
                                                    Place place = Place::here()) noexcept {
    void* fast = nullptr;
    if (detail::bump_push(bump_, size_bytes, bump_.align_mask, fast)) [[likely]] {
      clear_dirty(fast, size_bytes);
      return fast;
    }
    return push_slow(size_bytes, 0, kZero | kMust | kAuto, place.file, place.line);
  }
  /// Moves the position up to a multiple of `alignment`. The padding in bytes, 0 if it is one
  /// already; kFailed if it does not fit.
  [[nodiscard]] std::size_t push_aligner(std::size_t alignment,
                                         Place place = Place::here()) noexcept;
  /// Sets the alignment of push(size), push_zero(size) and try_push(size): a power of two up to
  /// 2^47, else kBadAlignment. A scope's end restores the one before it. Not beside other threads.
  Errc set_auto_align(std::size_t alignment) noexcept;

  // --- typed push ---

  /// `count` default-initialised Ts (of trivial types: unspecified contents). T needs no
  /// destructor.
  template <class T>
  [[nodiscard]] T* push_array(std::size_t count, Place place = Place::here()) {
    static_assert(std::is_trivially_destructible_v<T>, "no destructor would run: see OwningArena");
    T* const elements = static_cast<T*>(push(array_bytes(count, sizeof(T)), alignof(T), place));
    if (elements != nullptr) std::uninitialized_default_construct_n(elements, count);
    return elements;
  }
  /// As push_array(), all zero. T is trivial.
  template <class T>
  [[nodiscard]] T* push_array_zero(std::size_t count, Place place = Place::here()) noexcept {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    return static_cast<T*>(push_zero(array_bytes(count, sizeof(T)), alignof(T), place));
  }
  /// A T made of `args`; nullptr if there is no room. Does not compile for a T with a destructor:
  /// an OwningArena (owning_arena.hpp) takes those.
  template <class T, class... Args>
  [[nodiscard]] T* make(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>, "no destructor would run: see OwningArena");
    void* const place = push(sizeof(T), alignof(T));
    return place == nullptr ? nullptr : ::new (place) T(std::forward<Args>(args)...);
  }

  // --- position and pop ---

  /// Where the arena stands; good for pop_to() until a pop below it, clear() or release().
  [[nodiscard]] ArenaMark pos() const noexcept {
    if (bump_.parked()) return pos_slow();
    return {bump_.cursor - bump_.origin, bump_.stamp};
  }
  /// Takes back all that was pushed since `mark`, running registered destructors in reverse.
  /// kForeignMark, kStaleMark (cleared since), kMarkAhead, kScopeOpen (below an open scope, scratch
  /// or child): nothing changes. A store if only plain pushes of one block lie above.
  Errc pop_to(const ArenaMark& mark, Place place = Place::here()) noexcept {
    if (mark.stamp == bump_.stamp && detail::bump_pop(bump_, bump_.origin + mark.offset)) [[likely]]
      return Errc::kOk;
    return pop_to_slow(mark, place);
  }
  /// Takes back exactly the last `size_bytes` of used_bytes(), across blocks. kPopTooMuch beyond
  /// the start, kScopeOpen.
  Errc pop(std::size_t size_bytes, Place place = Place::here()) noexcept {
    if (size_bytes <= bump_.cursor && detail::bump_pop(bump_, bump_.cursor - size_bytes)) [[likely]]
      return Errc::kOk;
    return pop_slow(size_bytes, place);
  }
  /// Takes back `block`, of `size_bytes`, if it is the last push; else kNotLast. Padding before it
  /// stays.
  Errc pop_last(const void* block, std::size_t size_bytes, Place place = Place::here()) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(block);
    if (size_bytes != 0 && address + size_bytes == bump_.cursor && detail::bump_pop(bump_, address))
        [[likely]]
      return Errc::kOk;
    return pop_last_slow(block, size_bytes, place);
  }
  /// Empties the arena: destructors run, marks go stale, the first block and up to
  /// options.retain_bytes of others are kept. kScopeOpen: nothing changes.
  Errc clear(Place place = Place::here()) noexcept;
  /// As clear(), keeping at most `retain_bytes` of other blocks.
  Errc clear(std::size_t retain_bytes, Place place = Place::here()) noexcept;
  /// Gives back to the source what is not in use: kept blocks, and commits above the position.
  /// Returns bytes given back.
  std::size_t shrink() noexcept;
  /// Ends the arena: destructors run, memory goes back, a caller's buffer stays the caller's.
  /// kScopeOpen while a scope, scratch or child is open (reported with checks): nothing changes.
  Errc release(Place place = Place::here()) noexcept;

  // --- looking ---

  /// Bytes between the start and the position, padding included, ends of blocks not.
  [[nodiscard]] std::size_t used_bytes() const noexcept { return pos().offset; }
  /// Bytes that are memory: pages committed, blocks acquired, kept blocks too.
  [[nodiscard]] std::size_t committed() const noexcept;
  /// Bytes of address space, committed or not.
  [[nodiscard]] std::size_t reserved() const noexcept;
  /// True if `address` lies in memory that is in use.
  [[nodiscard]] bool contains(const void* address) const noexcept;
  /// Of an empty Arena kFixed.
  [[nodiscard]] ArenaKind kind() const noexcept;
  /// The unit of its commits and blocks; 0 of an empty Arena.
  [[nodiscard]] std::size_t page_bytes() const noexcept;
  /// options.name, cut off at 31 bytes; valid while the arena lives.
  [[nodiscard]] std::string_view name() const noexcept;
  /// Where the named constructor was called.
  [[nodiscard]] Place made_at() const noexcept;
  /// True if both are handles of one arena: a scratch of it, or itself.
  [[nodiscard]] bool same_arena(const Arena& other) const noexcept {
    return core_ != nullptr && core_ == other.core_;
  }

 protected:
  static constexpr std::size_t kDefaultAlignment = detail::kDefaultArenaAlignment;
  void adopt_destructor(detail::DestructorNode* node) noexcept;

 private:
  friend struct detail::ArenaAccess;
  friend class detail::ArenaCore;
  friend struct detail::ScopeAccess;
  static constexpr unsigned kZero = 1;
  static constexpr unsigned kAuto = 2;
  static constexpr unsigned kMust = 4;

  [[nodiscard, gnu::always_inline]] bool bump(std::size_t size, std::size_t alignment,
                                              void*& block) noexcept {
    return detail::is_alignment(alignment) && detail::bump_push(bump_, size, alignment - 1, block);
  }
  void clear_dirty(void* block, std::size_t size) const noexcept {
    const auto start = reinterpret_cast<std::uintptr_t>(block);
    if (start < bump_.dirty) {
      const std::size_t dirty = bump_.dirty - start;
      std::memset(block, 0, size < dirty ? size : dirty);
    }
  }
  [[nodiscard]] static constexpr std::size_t array_bytes(std::size_t count,
                                                         std::size_t size) noexcept {
    std::size_t total = 0;
    return __builtin_mul_overflow(count, size, &total) ? ~std::size_t{0} : total;
  }

  [[nodiscard]] void* push_slow(std::size_t size, std::size_t alignment, unsigned how,
                                const char* file, int line) noexcept;
  [[nodiscard]] ArenaMark pos_slow() const noexcept;
  Errc pop_to_slow(const ArenaMark& mark, Place place) noexcept;
  Errc pop_slow(std::size_t size, Place place) noexcept;
  Errc pop_last_slow(const void* block, std::size_t size, Place place) noexcept;
  void destroy() noexcept;

  mutable detail::ArenaBump bump_;
  detail::ArenaCore* core_ = nullptr;
  // After release() of an arena with checks: a use is reported.
  const char* released_file_ = nullptr;
  int released_line_ = 0;
};

}  // namespace allot
