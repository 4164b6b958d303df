// Temp: a scope of an arena: at its end the arena stands where it stood at its beginning.
//
// Scopes nest: the one opened last ends first, in the thread that opened it. An end out of order is
// reported where the arena has checks; elsewhere it takes nothing back, and what was pushed goes
// with the scope around it. The alignment of push(size) is restored too. commit() keeps what was
// pushed. Works on an empty arena and across blocks that are added meanwhile. A few stores at
// either end.
#pragma once

#include <allot/arena.hpp>

namespace allot {

namespace detail {

// What a scope remembers. A value that nothing points to, so that it lives in processor registers
// where begin and end are compiled into one function.
struct ArenaScope {
  std::uintptr_t cursor;
  std::uintptr_t floor;
  std::uintptr_t align_mask;
  std::uint64_t barrier;  // of this scope: its offset plus 1
  std::uint64_t barrier_before;
};

// The scope of a parked arena lies in the library. Never nullptr: one that could not begin is a
// record of nothing.
struct ScopeRecord;
[[nodiscard]] ALLOT_EXPORT ScopeRecord* begin_scope_slow(Arena& arena, Place place) noexcept;
[[nodiscard]] ALLOT_EXPORT bool has_begun(const ScopeRecord* record) noexcept;
ALLOT_EXPORT void end_scope_slow(Arena& arena, ScopeRecord* record, bool keep) noexcept;
ALLOT_EXPORT void end_scope_slow(Arena& arena, std::uintptr_t cursor, std::uintptr_t floor,
                                 std::uintptr_t align_mask, std::uint64_t barrier,
                                 std::uint64_t barrier_before, bool keep) noexcept;

struct ScopeAccess {
  static ArenaBump& bump(Arena& arena) noexcept { return arena.bump_; }

  [[nodiscard, gnu::always_inline]] static ArenaScope look(const ArenaBump& bump) noexcept {
    return {bump.cursor, bump.floor, bump.align_mask, bump.cursor - bump.origin + 1, bump.barrier};
  }

  [[gnu::always_inline]] static void begin(ArenaBump& bump, const ArenaScope& scope) noexcept {
    bump.barrier = scope.barrier;
    bump.floor = scope.cursor;
  }

  [[nodiscard, gnu::always_inline]] static bool end(ArenaBump& bump,
                                                    const ArenaScope& scope) noexcept {
    // The floor is where begin() put it: nothing but plain pushes of one block lie above (B4).
    if (bump.barrier != scope.barrier || bump.floor != scope.cursor) [[unlikely]]
      return false;
    if (bump.cursor > bump.dirty) bump.dirty = bump.cursor;
    bump.cursor = scope.cursor;
    bump.floor = scope.floor;
    bump.barrier = scope.barrier_before;
    if (bump.align_mask != scope.align_mask) [[unlikely]]
      bump.align_mask = scope.align_mask;
    return true;
  }
};

}  // namespace detail

class Temp {
 public:
  /// Opens a scope on `arena`, which must outlive it and not be moved. Where the arena has checks,
  /// a hook or a mutex it may not begin, and then ends nothing: without a little memory
  /// (kMachineFull), or while another thread has a scope open in a `locked` arena (kScopeOpen).
  [[nodiscard, gnu::always_inline]] explicit Temp(Arena& arena,
                                                  Place place = Place::here()) noexcept
      : arena_(&arena), scope_(detail::ScopeAccess::look(detail::ScopeAccess::bump(arena))) {
    detail::ArenaBump& bump = detail::ScopeAccess::bump(arena);
    if (bump.parked()) [[unlikely]] {
      record_ = detail::begin_scope_slow(arena, place);
    } else {
      detail::ScopeAccess::begin(bump, scope_);
    }
  }
  Temp(const Temp&) = delete;
  Temp& operator=(const Temp&) = delete;
  [[gnu::always_inline]] ~Temp() { end(); }

  /// False if it did not begin; Arena::last_error() says why.
  explicit operator bool() const noexcept {
    return record_ == nullptr || detail::has_begun(record_);
  }
  /// The arena it was opened on.
  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

  /// Ends the scope now, as its destructor does.
  [[gnu::always_inline]] void end() noexcept { finish(false); }
  /// Ends the scope and keeps what was pushed in it.
  void commit() noexcept { finish(true); }

 private:
  [[gnu::always_inline]] void finish(bool keep) noexcept {
    if (!open_) return;
    open_ = false;
    if (record_ != nullptr) [[unlikely]] {
      detail::end_scope_slow(*arena_, record_, keep);
    } else if (keep || !detail::ScopeAccess::end(detail::ScopeAccess::bump(*arena_), scope_))
        [[unlikely]] {
      // One by one: g++ 12 would build the struct of vectors, for which it would load vectors, for
      // which the processor would wait.
      detail::end_scope_slow(*arena_, scope_.cursor, scope_.floor, scope_.align_mask,
                             scope_.barrier, scope_.barrier_before, keep);
    }
  }

  Arena* arena_;
  detail::ScopeRecord* record_ = nullptr;
  // Mutable lest a `const Temp` be a read-only object, which g++ 12 keeps in memory.
  mutable detail::ArenaScope scope_;
  bool open_ = true;
};

}  // namespace allot
