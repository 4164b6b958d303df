// Scopes and leases: what is open in an arena, and the order in which it must end.

#include <pthread.h>

#include <new>
#include <utility>

#include "client/arena_core.hpp"

namespace allot::detail {

namespace {

// What a Temp holds whose scope could not begin.
constinit ScopeRecord never_begun;

}  // namespace

std::uintptr_t arena_thread() noexcept { return static_cast<std::uintptr_t>(::pthread_self()); }

bool ArenaCore::begin_scope(Arena& handle, Place place, ArenaScope& scope,
                            ScopeRecord*& record) noexcept {
  ArenaBump& bump = registers(handle);
  record = nullptr;
  if (instrumented_) {
    record = new (std::nothrow) ScopeRecord{records_, place, arena_thread(), {}};
    if (record == nullptr) return false;
    records_ = record;
  }
  scope = ScopeAccess::look(bump);
  ScopeAccess::begin(bump, scope);
  if (record != nullptr) record->scope = scope;
  tell(ArenaEvent::Kind::kScopeBegin, bump, nullptr, 0, place);
  return true;
}

// False if a younger one is open.
bool ArenaCore::take_record(ScopeRecord* record) noexcept {
  ScopeRecord** link = &records_;
  while (*link != record) link = &(*link)->older;
  const bool is_youngest = link == &records_;
  if (checks_ && record->thread != arena_thread()) {
    fault("a scope ended in another thread than the one that opened it", record->place);
  }
  if (checks_ && !is_youngest) {
    fault("a scope ended out of order, opened", record->place,
          "while a younger one is open, opened", records_->place);
  }
  *link = record->older;
  delete record;
  return is_youngest;
}

void ArenaCore::end_early(ArenaBump& bump, const ArenaScope& scope) noexcept {
  if (scope.barrier > bump.barrier) return;  // an older one's end took it back already
  // Without memory for it the arena cannot be popped below this scope any more, nor released.
  auto* const early = new (std::nothrow) EarlyEnd{early_ends_, scope.barrier, scope.barrier_before};
  if (early != nullptr) early_ends_ = early;
  // Younger scopes shall come to end_scope().
  bump.floor = kNoFloor;
}

std::uint64_t ArenaCore::barrier_before(const ArenaScope& scope) noexcept {
  std::uint64_t barrier = scope.barrier_before;
  EarlyEnd** link = &early_ends_;
  while (*link != nullptr) {
    if ((*link)->barrier != barrier) {
      link = &(*link)->next;
      continue;
    }
    EarlyEnd* const early = std::exchange(*link, (*link)->next);
    barrier = early->before;
    delete early;
    link = &early_ends_;
  }
  return barrier;
}

void ArenaCore::end_scope(Arena& handle, ArenaScope scope, ScopeRecord* record,
                          bool keep) noexcept {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (options_.locked) lock.lock();
  // The holder's: a scratch that was opened after this scope, and is open still, has them.
  ArenaBump& bump = registers(*holder_);
  const Place place = record != nullptr ? record->place : Place{};
  const bool is_youngest = record == nullptr || take_record(record);
  if (!is_youngest || holder_ != &handle || bump.barrier != scope.barrier) {
    if (checks_) fault("a scope ended out of order", place);
    end_early(bump, scope);
    return;
  }
  const bool early_ends = early_ends_ != nullptr;
  bump.barrier = barrier_before(scope);
  bump.align_mask = scope.align_mask;
  std::size_t taken = 0;
  if (keep) {
    bump.floor = bump.floor == scope.cursor ? scope.floor : kNoFloor;
  } else {
    const std::uint64_t before = used(bump);
    if (unwind(bump, scope.barrier - 1) == Errc::kOk) {
      bump.floor = scope.floor;
      taken = before - used(bump);
    } else {
      if (checks_) fault("a scope ended with a child arena open in it, opened", place);
      bump.floor = kNoFloor;
    }
  }
  if (early_ends) bump.floor = kNoFloor;
  tell(ArenaEvent::Kind::kScopeEnd, bump, nullptr, taken, place);
}

Place ArenaCore::opened_at() const noexcept {
  return records_ != nullptr ? records_->place : made_at_;
}

void ArenaCore::check_lease_end(const Arena& lease, const ArenaScope& scope,
                                const ScopeRecord* record, Place place) const noexcept {
  const ArenaBump& bump = instrumented_ ? shared_ : ArenaAccess::bump(*holder_);
  const bool is_youngest = records_ == record;
  if (holder_ == &lease && bump.barrier == scope.barrier && is_youngest) return;
  // Reported with and without checks: the younger one would go on in a handle that is gone.
  fault("a scratch ended out of order, opened", place, "while a younger scope is open, opened",
        opened_at());
}

void ArenaCore::lease(Arena& from, Arena& to) noexcept {
  ArenaAccess::bump(to) = std::exchange(ArenaAccess::bump(from), ArenaBump());
  ArenaAccess::set(to, this);
  registers(to).align_mask = kDefaultArenaAlignment - 1;
  holder_ = &to;
  ++lease_depth_;
}

void ArenaCore::end_lease(Arena& from, Arena& to) noexcept {
  ArenaAccess::bump(from) = std::exchange(ArenaAccess::bump(to), ArenaBump());
  ArenaAccess::set(to, nullptr);
  holder_ = &from;
  --lease_depth_;
}

std::uint64_t open_scope(const Arena& arena) noexcept {
  if (!ArenaAccess::bump(arena).parked()) return ArenaAccess::bump(arena).barrier;
  const ArenaEntry entry(arena);
  return entry ? entry.bump().barrier : 0;
}

std::uint64_t settle_in_scope(Arena& arena) noexcept {
  const std::uint64_t scope = open_scope(arena);
  if (scope != 0 && arena.used_bytes() == scope - 1) (void)arena.try_push(1, 1);
  return scope;
}

bool has_begun(const ScopeRecord* record) noexcept { return record != &never_begun; }

ScopeRecord* begin_scope_slow(Arena& arena, Place place) noexcept {
  const ArenaEntry entry(arena, "a scope begins", place);
  ArenaScope scope{};
  ScopeRecord* record = nullptr;
  if (entry && entry.core()->begin_scope(arena, place, scope, record)) return record;
  set_arena_error(entry ? Errc::kMachineFull : entry.why());
  return &never_begun;
}

void end_scope_slow(Arena& arena, ScopeRecord* record, bool keep) noexcept {
  ArenaCore* const core = ArenaAccess::core(arena);
  if (core != nullptr && record != &never_begun)
    core->end_scope(arena, record->scope, record, keep);
}

void end_scope_slow(Arena& arena, std::uintptr_t cursor, std::uintptr_t floor,
                    std::uintptr_t align_mask, std::uint64_t barrier, std::uint64_t barrier_before,
                    bool keep) noexcept {
  ArenaCore* const core = ArenaAccess::core(arena);
  if (core == nullptr) return;
  core->end_scope(arena, {cursor, floor, align_mask, barrier, barrier_before}, nullptr, keep);
}

}  // namespace allot::detail
