#include "client/arena_core.hpp"

#include <pthread.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <allot/detail/atomic.hpp>

#include "client/arena_poison.hpp"

namespace allot::detail {

namespace {

constexpr std::size_t kNameBytes = 31;
constexpr std::size_t kMaxBytes = std::size_t{1} << 47;

constinit Atomic<std::uint64_t> last_arena_id{};
thread_local Errc last_arena_error = Errc::kOk;

// 1, 2, ...: the upper half of the stamps of one arena.
std::uint64_t next_arena_id() noexcept {
  std::uint64_t last = last_arena_id.load_relaxed();
  // Progress: a failed exchange means that another thread got a number.
  while (!last_arena_id.compare_exchange_release(last, last + 1)) {
  }
  return last + 1;
}

std::uintptr_t this_thread() noexcept { return static_cast<std::uintptr_t>(::pthread_self()); }

}  // namespace

Errc set_arena_error(Errc why) noexcept {
  last_arena_error = why;
  return why;
}

void set_last_arena_error(Errc why) noexcept { last_arena_error = why; }

ArenaCore::ArenaCore(const Policy& policy, const ArenaOptions& options, Place place)
    : options_(options),
      name_(options.name.substr(0, kNameBytes)),
      kind_(policy.kind),
      made_at_(place),
      checks_(options.checks == ArenaChecks::kOn),
      instrumented_(checks_ || options.locked || options.hook.call != nullptr),
      reserve_bytes_(policy.first_bytes),
      stamp_(next_arena_id() << 32) {
  options_.name = name_;
}

ArenaCore::~ArenaCore() {
  while (current_ != nullptr) free_block(std::exchange(current_, current_->older));
  while (lone_ != nullptr) free_block(std::exchange(lone_, lone_->older));
  keep_at_most(0);
}

ArenaCore* ArenaCore::create(const Policy& policy, const ArenaOptions& options, Place place,
                             Errc& why) noexcept {
  if (policy.first_bytes == 0 || policy.first_bytes > kMaxBytes || options.block_bytes == 0 ||
      options.commit_bytes == 0) {
    why = policy.first_bytes > kMaxBytes ? Errc::kSizeTooLarge : Errc::kBadArgument;
    return nullptr;
  }
  ArenaCore* core = nullptr;
  try {
    core = new ArenaCore(policy, options, place);
    core->source_ = make_source(options, why);
  } catch (const std::bad_alloc&) {
    why = Errc::kMachineFull;
  }
  if (core == nullptr) return nullptr;
  if (core->source_ == nullptr || !core->open_first(policy, why)) {
    delete core;
    return nullptr;
  }
  return core;
}

bool ArenaCore::open_first(const Policy& policy, Errc& why) noexcept {
  page_bytes_ = source_->page_bytes();
  next_block_bytes_ = options_.block_bytes;
  if (!policy.buffer.empty()) {
    auto* const block = new (std::nothrow) ArenaBlock();
    if (block == nullptr) {
      why = Errc::kMachineFull;
      return false;
    }
    block->begin = reinterpret_cast<std::uintptr_t>(policy.buffer.data());
    block->end = block->committed = block->dirty = block->begin + policy.buffer.size();
    block->extent.bytes = policy.buffer.size();  // no base: the caller's
    committed_ = reserved_ = block->charged_bytes = block->extent.bytes;
    current_ = block;
  } else if (is_virtual()) {
    current_ = reserve(policy.first_bytes, options_.commit_bytes, why);
  } else {
    current_ = acquire(policy.first_bytes, page_bytes_, why);
    if (current_ != nullptr && kind_ == ArenaKind::kFixed) {
      current_->end = current_->committed = current_->begin + policy.first_bytes;
    }
  }
  if (current_ == nullptr) return false;
  if (checks_) poison(current_->begin, current_->committed);
  return true;
}

void ArenaCore::hold(Arena& arena) noexcept {
  ArenaAccess::set(arena, this);
  holder_ = &arena;
  ArenaBump& bump = registers(arena);
  bump = ArenaBump();
  bump.cursor = bump.origin = current_->begin;
  bump.limit = current_->usable_end();
  bump.dirty = current_->dirty;
  bump.stamp = stamp_;
  reset_floor(bump);
}

void ArenaCore::moved(Arena& from, Arena& to) noexcept {
  const ArenaBump& bump = registers(from);
  if (checks_ && (holder_ != &from || bump.scope != nullptr)) {
    fault("moved while a scope is open", Place{}, "opened",
          bump.scope != nullptr ? bump.scope->place : made_at_);
  }
  if (holder_ == &from) holder_ = &to;
}

ArenaBump& ArenaCore::registers(Arena& handle) noexcept {
  return instrumented_ ? shared_ : ArenaAccess::bump(handle);
}

Errc ArenaCore::end(Arena& arena, Place place, bool in_destructor) noexcept {
  ArenaBump& bump = registers(*holder_);
  const bool scope_open = holder_ != &arena || bump.scope != nullptr;
  if (scope_open || children_ != nullptr) {
    if (checks_) {
      fault("released while something is open in it", place,
            scope_open ? "the scope was opened" : "a child arena holds blocks of it, made",
            bump.scope != nullptr ? bump.scope->place : made_at_);
    }
    if (!in_destructor) return Errc::kScopeOpen;
    // What is open goes on in memory that stays: a child's end frees it.
    if (!scope_open) ends_with_children_ = true;
    return Errc::kOk;
  }
  run_destructors(0);
  tell(ArenaEvent::Kind::kRelease, bump, nullptr, used(bump), place);
  current_->dirty = std::max(current_->dirty, bump.cursor);
  delete this;
  return Errc::kOk;
}

void ArenaCore::begin_scope(Arena& handle, ArenaScope& scope) noexcept {
  ArenaBump& bump = registers(handle);
  scope.older = bump.scope;
  scope.cursor = bump.cursor;
  scope.floor = bump.floor;
  scope.align_mask = bump.align_mask;
  scope.offset = used(bump);
  scope.thread = this_thread();
  bump.scope = &scope;
  bump.floor = bump.cursor;
  tell(ArenaEvent::Kind::kScopeBegin, bump, nullptr, 0, scope.place);
}

void ArenaCore::end_scope(Arena& handle, ArenaScope& scope, bool keep) noexcept {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (options_.locked) lock.lock();
  // The holder's: a scratch that was opened after this scope, and is open still, has the list.
  ArenaBump& bump = registers(*holder_);
  ArenaScope** link = &bump.scope;
  while (*link != nullptr && *link != &scope) link = &(*link)->older;
  if (*link == nullptr) return;  // never begun
  if (checks_ && scope.thread != 0 && scope.thread != this_thread()) {
    fault("a scope ended in another thread than the one that opened it", scope.place);
  }
  if (link != &bump.scope || holder_ != &handle) {
    if (checks_) {
      fault("a scope ended out of order, opened", scope.place, "while a younger one is open",
            bump.scope->place);
    }
    *link = scope.older;
    return;
  }
  bump.scope = scope.older;
  bump.align_mask = scope.align_mask;
  if (keep) {
    bump.floor = bump.floor == scope.cursor ? scope.floor : kNoFloor;
  } else {
    const std::size_t taken = used(bump) - scope.offset;
    if (unwind(bump, scope.offset) == Errc::kOk) {
      bump.floor = scope.floor;
      tell(ArenaEvent::Kind::kScopeEnd, bump, nullptr, taken, scope.place);
      return;
    }
    if (checks_) fault("a scope ended with a child arena open in it, opened", scope.place);
    bump.floor = kNoFloor;
  }
  tell(ArenaEvent::Kind::kScopeEnd, bump, nullptr, 0, scope.place);
}

Place ArenaCore::opened_at() const noexcept {
  const ArenaBump& bump = instrumented_ ? shared_ : ArenaAccess::bump(*holder_);
  return bump.scope != nullptr ? bump.scope->place : made_at_;
}

void ArenaCore::check_lease_end(const Arena& lease, const ArenaScope& scope) const noexcept {
  const ArenaBump& bump = instrumented_ ? shared_ : ArenaAccess::bump(*holder_);
  if (holder_ == &lease && bump.scope == &scope) return;
  // Reported with and without checks: the younger one would go on in a handle that is gone.
  fault("a scratch ended out of order, opened", scope.place,
        "while a younger scope is open, opened", opened_at());
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

void ArenaCore::tell(ArenaEvent::Kind kind, const ArenaBump& bump, const void* address,
                     std::size_t size, Place place) const noexcept {
  if (options_.hook.call == nullptr) return;
  options_.hook.call(options_.hook.context, {kind, name_, address, size, used(bump), place});
}

void ArenaCore::fault(const char* what, Place place) const noexcept {
  std::fprintf(stderr, "allot: arena '%s' (made at %s:%d): %s at %s:%d\n", name_.c_str(),
               made_at_.file, made_at_.line, what, place.file, place.line);
  std::abort();
}

void ArenaCore::fault(const char* what, Place place, const char* why,
                      Place because) const noexcept {
  std::fprintf(stderr, "allot: arena '%s' (made at %s:%d): %s at %s:%d; %s at %s:%d\n",
               name_.c_str(), made_at_.file, made_at_.line, what, place.file, place.line, why,
               because.file, because.line);
  std::abort();
}

ArenaEntry::ArenaEntry(const Arena& handle, const char* what, Place place) noexcept
    : core_(ArenaAccess::core(handle)) {
  if (core_ == nullptr) {
    const Place released = ArenaAccess::released(handle);
    if (released.file != nullptr) {
      std::fprintf(stderr, "allot: %s at %s:%d in an arena that was released at %s:%d\n", what,
                   place.file, place.line, released.file, released.line);
      std::abort();
    }
    why_ = Errc::kClosed;
    return;
  }
  lock();
  ArenaBump& bump = core_->instrumented_ ? core_->shared_ : ArenaAccess::bump(handle);
  if (core_->holder_ != &handle) {
    const ArenaBump& holders = core_->registers(*core_->holder_);
    if (core_->checks_) {
      core_->fault(what, place, "a younger scratch has the arena, opened",
                   holders.scope != nullptr ? holders.scope->place : core_->made_at_);
    }
    why_ = Errc::kScopeOpen;
    return;
  }
  if (core_->checks_ && bump.scope != nullptr && bump.scope->thread != this_thread()) {
    core_->fault(what, place, "another thread has a scope open, opened", bump.scope->place);
  }
  bump_ = &bump;
}

ArenaEntry::ArenaEntry(const Arena& handle) noexcept : core_(ArenaAccess::core(handle)) {
  if (core_ == nullptr) {
    why_ = Errc::kClosed;
    return;
  }
  lock();
  bump_ = &core_->registers(*core_->holder_);
}

void ArenaEntry::lock() noexcept {
  if (!core_->options_.locked) return;
  core_->mutex_.lock();
  locked_ = true;
}

void begin_scope_slow(Arena& arena, ArenaScope& scope) noexcept {
  const ArenaEntry entry(arena, "a scope begins", scope.place);
  if (!entry) {
    set_arena_error(entry.why());
    return;
  }
  entry.core()->begin_scope(arena, scope);
}

void end_scope_slow(Arena& arena, ArenaScope& scope, bool keep) noexcept {
  ArenaCore* const core = ArenaAccess::core(arena);
  if (core != nullptr) core->end_scope(arena, scope, keep);
}

}  // namespace allot::detail

namespace allot {

Errc Arena::last_error() noexcept { return detail::last_arena_error; }

}  // namespace allot
