// Scratch: a thread's own arena for the time of a scope.
//
// scratch(conflicts...) lends an arena of the calling thread that is none of the conflicts: those
// the caller returns its results through. Two arenas a thread suffice while a function returns
// through at most one scratch-backed arena; in general one more than the arenas passed through, so
// that more are made when more conflicts are named, up to kMaxScratchArenas. They are virtual
// arenas, made at first use and released when the thread ends.
//
// A Scratch has a handle of its own, arena(). While it is open the handle it was lent by (an outer
// scratch's, of the same arena) is locked: a push there is what forgetting to name a conflict looks
// like. Where the arena has checks (if the file that opens the scratch is compiled without NDEBUG)
// it is reported, with the pushing line and the line that opened the scratch; elsewhere the push
// fails with kScopeOpen, instead of being lost at the scope's end. Scratches of a thread end in
// reverse, in that thread. Not across co_await or fork.
#pragma once

#include <concepts>
#include <initializer_list>
#include <span>

#include <allot/temp.hpp>

namespace allot {

/// Arenas a thread makes at most, and how large each may become.
inline constexpr std::size_t kMaxScratchArenas = 8;
inline constexpr std::size_t kScratchReserveBytes = std::size_t{8} << 30;

class ALLOT_EXPORT Scratch {
 public:
  /// A scratch of this thread that is none of `conflicts`; null pointers are ignored. Empty if each
  /// of kMaxScratchArenas is named: kScratchConflict (reported with checks, with the places of all
  /// of them), or if there is no address space: kAddressSpace. An arena that is made for it, or
  /// that nobody uses, has checks from then on if `checks` asks for them.
  [[nodiscard]] explicit Scratch(std::span<const Arena* const> conflicts,
                                 Place place = Place::here(),
                                 ArenaChecks checks = kDefaultArenaChecks) noexcept;
  /// A scratch at the end of `parent`, which is locked while it is open. Empty if `parent` is
  /// locked already (kScopeOpen, or reported) or shared by threads (kArenaKind).
  [[nodiscard]] explicit Scratch(Arena& parent, Place place = Place::here()) noexcept;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  /// Takes back everything that was pushed to arena().
  ~Scratch() { end(); }

  /// False if there was none to lend; then every push to arena() fails.
  explicit operator bool() const noexcept { return parent_ != nullptr; }
  /// What to push to while it is open.
  [[nodiscard]] Arena& arena() noexcept { return arena_; }
  Arena* operator->() noexcept { return &arena_; }
  Arena& operator*() noexcept { return arena_; }

  /// Ends it now, as its destructor does.
  void end() noexcept { finish(false); }
  /// Ends it and leaves what was pushed in the arena it was lent by.
  void commit() noexcept { finish(true); }

 private:
  friend class ReturnSlot;
  struct Nothing {};
  Scratch(Nothing /*unused*/, Place place) noexcept : place_(place) {}
  void begin(Arena& parent) noexcept;
  void finish(bool keep) noexcept;

  Arena arena_;
  Arena* parent_ = nullptr;
  detail::ArenaScope scope_{};
  detail::ScopeRecord* record_ = nullptr;
  Place place_;
};

/// An arena that a scratch must not be, and where the scratch is opened.
struct ScratchConflict {
  // NOLINTNEXTLINE(google-explicit-constructor): scratch(arena) is how it is said.
  ScratchConflict(const Arena& named, Place opened = Place::here(),
                  ArenaChecks wanted = kDefaultArenaChecks) noexcept
      : arena(&named), place(opened), checks(wanted) {}
  const Arena* arena;
  Place place;
  ArenaChecks checks;
};

/// A scratch of this thread.
[[nodiscard]] inline Scratch scratch(Place place = Place::here(),
                                     ArenaChecks checks = kDefaultArenaChecks) noexcept {
  return Scratch(std::span<const Arena* const>(), place, checks);
}
/// scratch(a), scratch(a, b), ...: none of them.
template <std::convertible_to<const Arena&>... More>
[[nodiscard]] Scratch scratch(ScratchConflict first, const More&... more) noexcept {
  const Arena* const conflicts[] = {first.arena, static_cast<const Arena*>(&more)...};
  return Scratch(std::span<const Arena* const>(conflicts), first.place, first.checks);
}
/// scratch({&a, &b}): none of them; null pointers are ignored.
[[nodiscard]] inline Scratch scratch(std::initializer_list<const Arena*> conflicts,
                                     Place place = Place::here(),
                                     ArenaChecks checks = kDefaultArenaChecks) noexcept {
  return Scratch(std::span<const Arena* const>(conflicts.begin(), conflicts.size()), place, checks);
}

/// How many scratch arenas this thread has made so far.
[[nodiscard]] ALLOT_EXPORT std::size_t scratch_arena_count() noexcept;

}  // namespace allot

#include <allot/mapped_scratch.hpp>
#include <allot/return_scratch.hpp>
