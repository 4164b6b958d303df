// Temp: a scope of an arena: at its end the arena stands where it stood at its beginning.
//
// Scopes nest: the one opened last ends first, in the thread that opened it. An end out of order is
// reported where the arena has checks; elsewhere it takes nothing back, and what was pushed goes with
// the scope around it. The alignment of push(size) is restored too. commit() keeps what was
// pushed. Works on an empty arena and across blocks that are added meanwhile. A few stores at
// either end.
#pragma once

#include <allot/arena.hpp>

namespace allot {

namespace detail {

struct ArenaScope {
  ArenaScope* older = nullptr;
  std::uintptr_t cursor = 0;
  std::uintptr_t floor = 0;
  std::uintptr_t align_mask = 0;
  std::uint64_t offset = 0;
  Place place;
  std::uintptr_t thread = 0;  // where the arena has checks
};

ALLOT_EXPORT void begin_scope_slow(Arena& arena, ArenaScope& scope) noexcept;
ALLOT_EXPORT void end_scope_slow(Arena& arena, ArenaScope& scope, bool keep) noexcept;

// The few stores that open and end a scope of an arena that is not parked.
struct ScopeAccess {
  [[gnu::always_inline]] static void begin(Arena& arena, ArenaScope& scope) noexcept {
    ArenaBump& bump = arena.bump_;
    if (bump.parked()) [[unlikely]] {
      begin_scope_slow(arena, scope);
      return;
    }
    scope.older = bump.scope;
    scope.cursor = bump.cursor;
    scope.floor = bump.floor;
    scope.align_mask = bump.align_mask;
    scope.offset = bump.cursor - bump.origin;
    bump.scope = &scope;
    bump.floor = bump.cursor;
  }

  [[gnu::always_inline]] static void end(Arena& arena, ArenaScope& scope, bool keep) noexcept {
    ArenaBump& bump = arena.bump_;
    // The floor is where begin() put it: nothing but plain pushes of one block lie above (B4).
    if (bump.scope != &scope || bump.floor != scope.cursor || keep) [[unlikely]] {
      end_scope_slow(arena, scope, keep);
      return;
    }
    if (bump.cursor > bump.dirty) bump.dirty = bump.cursor;
    bump.cursor = scope.cursor;
    bump.floor = scope.floor;
    bump.align_mask = scope.align_mask;
    bump.scope = scope.older;
  }
};

}  // namespace detail

class Temp {
 public:
  /// Opens a scope on `arena`, which must outlive it and not be moved.
  explicit Temp(Arena& arena, Place place = Place::here()) noexcept : arena_(&arena) {
    scope_.place = place;
    detail::ScopeAccess::begin(arena, scope_);
  }
  Temp(const Temp&) = delete;
  Temp& operator=(const Temp&) = delete;
  ~Temp() { end(); }

  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

  /// Ends the scope now, as its destructor does.
  void end() noexcept {
    if (open_) detail::ScopeAccess::end(*arena_, scope_, false);
    open_ = false;
  }
  /// Ends the scope and keeps what was pushed in it.
  void commit() noexcept {
    if (open_) detail::ScopeAccess::end(*arena_, scope_, true);
    open_ = false;
  }

 private:
  Arena* arena_;
  detail::ArenaScope scope_;
  bool open_ = true;
};

}  // namespace allot
