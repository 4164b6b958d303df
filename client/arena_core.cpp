#include "client/arena_core.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <allot/detail/atomic.hpp>

#include "client/arena_poison.hpp"

namespace allot::detail {

namespace {

constexpr std::size_t kNameBytes = 31;

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
  if (options_.max_commit_bytes == 0) {
    const bool in_region = options.source.kind() == ArenaSource::Kind::kRegion;
    options_.max_commit_bytes = in_region ? kArenaRegionCommitBytes : kArenaPageCommitBytes;
  }
}

ArenaCore::~ArenaCore() {
  while (current_ != nullptr) free_block(std::exchange(current_, current_->older));
  while (lone_ != nullptr) free_block(std::exchange(lone_, lone_->older));
  keep_at_most(0);
  while (records_ != nullptr) delete std::exchange(records_, records_->older);
  while (early_ends_ != nullptr) delete std::exchange(early_ends_, early_ends_->next);
}

ArenaCore* ArenaCore::create(const Policy& policy, const ArenaOptions& options, Place place,
                             Errc& why) noexcept {
  if (policy.first_bytes == 0 || policy.first_bytes > kMaxArenaBytes || options.block_bytes == 0 ||
      options.commit_bytes == 0) {
    why = policy.first_bytes > kMaxArenaBytes ? Errc::kSizeTooLarge : Errc::kBadArgument;
    return nullptr;
  }
  ArenaCore* core = nullptr;
  try {
    core = new ArenaCore(policy, options, place);
    core->source_ = make_source(options, core->is_virtual(), why);
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
    current_ = acquire(policy.first_bytes, kDefaultArenaAlignment, why);
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
  report(bump);
  if (committed_ > 0 && current_->extent.base != nullptr) {
    tell(ArenaEvent::Kind::kGrow, bump, current_->extent.base, committed_, made_at_);
  }
}

void ArenaCore::report(const ArenaBump& bump) const noexcept {
  source_->report({kind_, name_, made_at_, used(bump), committed_, reserved_});
}

void ArenaCore::moved(Arena& from, Arena& to) noexcept {
  const ArenaBump& bump = registers(from);
  if (checks_ && (holder_ != &from || bump.barrier != 0)) {
    fault("moved while a scope is open", Place{}, "opened", opened_at());
  }
  if (holder_ == &from) holder_ = &to;
}

ArenaBump& ArenaCore::registers(Arena& handle) noexcept {
  return instrumented_ ? shared_ : ArenaAccess::bump(handle);
}

Errc ArenaCore::end(Arena& arena, Place place, bool in_destructor) noexcept {
  ArenaBump& bump = registers(*holder_);
  const bool scope_open = holder_ != &arena || bump.barrier != 0;
  if (scope_open || children_ != nullptr) {
    if (checks_) {
      fault("released while something is open in it", place,
            scope_open ? "the scope was opened" : "a child arena holds blocks of it, made",
            opened_at());
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
    if (core_->checks_) {
      core_->fault(what, place, "a younger scratch has the arena (name it: scratch(arena)), opened",
                   core_->opened_at());
    }
    why_ = Errc::kScopeOpen;
    return;
  }
  if ((core_->checks_ || core_->options_.locked) && core_->records_ != nullptr &&
      core_->records_->thread != arena_thread()) {
    // What is pushed now would go with that scope.
    if (core_->checks_) {
      core_->fault(what, place, "another thread has a scope open, opened", core_->opened_at());
    }
    why_ = Errc::kScopeOpen;
    return;
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

}  // namespace allot::detail

namespace allot {

Errc Arena::last_error() noexcept { return detail::last_arena_error; }

}  // namespace allot
