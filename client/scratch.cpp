#include <allot/scratch.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "client/arena_core.hpp"

namespace allot {

using detail::ArenaAccess;
using detail::ArenaCore;
using detail::ArenaEntry;
using detail::set_arena_error;

namespace {

struct ScratchArenas {
  std::array<Arena, kMaxScratchArenas> arenas;
  std::size_t count = 0;
};

ScratchArenas& scratch_arenas() noexcept {
  // Released at thread exit by its destructor.
  thread_local ScratchArenas arenas;
  return arenas;
}

bool is_named(const Arena& arena, std::span<const Arena* const> conflicts) noexcept {
  return std::any_of(conflicts.begin(), conflicts.end(), [&](const Arena* conflict) {
    return conflict != nullptr && conflict->same_arena(arena);
  });
}

// As one that was made for a file compiled with NDEBUG.
bool is_idle_without_checks(const Arena& arena) noexcept {
  const ArenaCore* const core = ArenaAccess::core(arena);
  return !core->checks() && core->holder() == &arena && arena.used_bytes() == 0 &&
         detail::open_scope(arena) == 0;
}

[[noreturn]] void report_conflicts(const ScratchArenas& all, Place place) {
  std::fprintf(stderr,
               "allot: scratch at %s:%d names each of this thread's %zu arenas as a conflict:\n",
               place.file, place.line, all.count);
  for (const Arena& arena : all.arenas) {
    const ArenaCore* const core = ArenaAccess::core(arena);
    const Place opened = core->opened_at();
    std::fprintf(stderr, "allot:   lent at %s:%d\n", opened.file, opened.line);
  }
  std::abort();
}

}  // namespace

std::size_t scratch_arena_count() noexcept { return scratch_arenas().count; }

Scratch::Scratch(std::span<const Arena* const> conflicts, Place place, ArenaChecks checks) noexcept
    : place_(place) {
  ScratchArenas& all = scratch_arenas();
  for (std::size_t i = 0; i < kMaxScratchArenas; ++i) {
    Arena& arena = all.arenas[i];
    if (arena && checks == ArenaChecks::kOn && is_idle_without_checks(arena)) arena = Arena();
    if (!arena) {
      ArenaOptions options;
      options.name = "scratch";
      options.checks = checks;
      arena = Arena::reserve(kScratchReserveBytes, options, place);
      if (!arena) return;
      all.count = std::max(all.count, i + 1);
    }
    if (is_named(arena, conflicts)) continue;
    begin(*ArenaAccess::core(arena)->holder());
    return;
  }
  set_arena_error(Errc::kScratchConflict);
  if (checks == ArenaChecks::kOn) report_conflicts(all, place);
}

Scratch::Scratch(Arena& parent, Place place) noexcept : place_(place) { begin(parent); }

void Scratch::begin(Arena& parent) noexcept {
  const ArenaEntry entry(parent, "a scratch begins", place_);
  if (!entry) {
    set_arena_error(entry.why());
    return;
  }
  if (entry.core()->options().locked) {
    set_arena_error(Errc::kArenaKind);
    return;
  }
  if (!entry.core()->begin_scope(parent, place_, scope_, record_)) {
    set_arena_error(Errc::kMachineFull);
    return;
  }
  entry.core()->lease(parent, arena_);
  parent_ = &parent;
}

void Scratch::finish(bool keep) noexcept {
  if (parent_ == nullptr) return;
  Arena& parent = *std::exchange(parent_, nullptr);
  ArenaCore* const core = ArenaAccess::core(arena_);
  core->check_lease_end(arena_, scope_, record_, place_);
  core->end_lease(parent, arena_);
  core->end_scope(parent, scope_, record_, keep);
}

ReturnSlot::ReturnSlot(Arena& parent, std::size_t size_bytes, std::size_t alignment,
                       Place place) noexcept
    : parent_(&parent),
      before_(parent.pos()),
      slot_(nullptr),
      size_bytes_(size_bytes),
      scratch_(Scratch::Nothing{}, place) {
  const bool is_virtual =
      parent.kind() == ArenaKind::kVirtual || parent.kind() == ArenaKind::kChainedVirtual;
  if (parent && !is_virtual) {
    set_arena_error(Errc::kArenaKind);
    return;
  }
  slot_ = parent.try_push(size_bytes, alignment, place);
  if (slot_ == nullptr) return;
  behind_ = parent.pos();
  scratch_.begin(parent);
  if (!scratch_) finish(0);
}

void* ReturnSlot::commit(std::size_t used_bytes) noexcept {
  void* const slot = slot_;
  if (used_bytes > size_bytes_) {
    finish(0);
    set_arena_error(Errc::kBadArgument);
    return nullptr;
  }
  finish(used_bytes);
  return used_bytes > 0 ? slot : nullptr;
}

void ReturnSlot::finish(std::size_t used_bytes) noexcept {
  if (slot_ == nullptr) return;
  slot_ = nullptr;
  scratch_.end();
  ArenaMark end = before_;
  if (used_bytes > 0) {
    end.offset = behind_.offset - std::max<std::size_t>(size_bytes_, 1) + used_bytes;
  }
  (void)parent_->pop_to(end);
}

}  // namespace allot
