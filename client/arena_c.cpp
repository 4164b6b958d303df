#include <allot/arena.h>

#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <utility>

#include <allot/scratch.hpp>

#include "client/arena_core.hpp"

struct CTemp;

// One definition behind the opaque name: an arena of its own, or the handle of a scratch.
struct allot_arena {
  allot::Arena own;
  allot::Arena* arena = nullptr;
  std::mutex temps_mutex;  // a locked arena's threads have scopes each
  CTemp* temps = nullptr;  // open
  std::uintptr_t last_serial = 0;
};

struct CTemp {
  CTemp(allot_arena& handle, allot::Place place) : temp(*handle.arena, place) {}
  allot::Temp temp;
  CTemp* older = nullptr;
  std::uintptr_t serial = 0;
};

namespace {

using allot::Arena;
using allot::Errc;
using allot::detail::set_arena_error;

struct CScratch {
  CScratch(std::span<const Arena* const> conflicts, allot::Place place, allot::ArenaChecks checks)
      : scratch(conflicts, place, checks) {}
  allot_arena handle;
  allot::Scratch scratch;
  CScratch* older = nullptr;
  std::uintptr_t serial = 0;
};

thread_local CScratch* open_scratches = nullptr;
thread_local std::uintptr_t last_scratch_serial = 0;

// Puts `opened` in front of the list that begins at `first`. What C holds of it is a number: an
// address would be used again.
template <class T>
void* put_open(T*& first, std::uintptr_t& last_serial, T* opened) {
  opened->older = std::exchange(first, opened);
  opened->serial = ++last_serial;
  return reinterpret_cast<void*>(opened->serial);  // NOLINT(performance-no-int-to-ptr)
}

// Takes what `state` names out of the list that begins at `first`; nullptr if it is not there.
template <class T>
T* take_open(T*& first, const void* state) {
  for (T** link = &first; *link != nullptr; link = &(*link)->older) {
    if ((*link)->serial == reinterpret_cast<std::uintptr_t>(state)) {
      return std::exchange(*link, (*link)->older);
    }
  }
  return nullptr;
}

allot::ArenaChecks checks_of(int checks) {
  return checks != 0 ? allot::ArenaChecks::kOn : allot::ArenaChecks::kOff;
}

constexpr std::size_t kMaxConflicts = 64;

int code(Errc error) { return static_cast<int>(error); }

// NULL is an answer, not a crash.
Arena* of(const allot_arena* arena) {
  if (arena == nullptr) set_arena_error(Errc::kBadArgument);
  return arena == nullptr ? nullptr : arena->arena;
}

Arena make(const allot_arena_params& params, int checks, allot::Place place) {
  allot::ArenaOptions options;
  options.checks = checks_of(checks);
  options.page_bytes = params.page_bytes;
  if (params.parent != nullptr) options.source = allot::ArenaSource(*params.parent->arena);
  if (params.name != nullptr) options.name = params.name;
  if (params.commit_bytes != 0) options.commit_bytes = params.commit_bytes;
  if (params.limit_bytes != 0) options.limit_bytes = params.limit_bytes;
  options.locked = params.locked != 0;
  if (params.abort_when_full != 0) options.when_full = allot::WhenFull::kAbort;
  const std::size_t size = params.size_bytes;
  switch (params.kind_plus_one) {
    case ALLOT_ARENA_FIXED + 1:
      if (params.buffer == nullptr) return Arena::fixed(size, options, place);
      return Arena::fixed(std::span(static_cast<std::byte*>(params.buffer), size), options, place);
    case ALLOT_ARENA_CHAINED + 1:
      if (size != 0) options.block_bytes = size;
      return Arena::chained(options, place);
    case 0:
    case ALLOT_ARENA_VIRTUAL + 1:
      return Arena::reserve(size != 0 ? size : allot::kArenaReserveBytes, options, place);
    case ALLOT_ARENA_CHAINED_VIRTUAL + 1:
      return Arena::reserve_chained(size != 0 ? size : allot::kArenaReserveBytes, options, place);
    default: set_arena_error(Errc::kBadArgument); return {};
  }
}

}  // namespace

allot_arena* allot_arena_alloc(const allot_arena_params* params, int checks, const char* file,
                               int line) noexcept {
  auto handle = std::unique_ptr<allot_arena>(new (std::nothrow) allot_arena());
  if (handle == nullptr) {
    set_arena_error(Errc::kMachineFull);
    return nullptr;
  }
  handle->own = make(params != nullptr ? *params : allot_arena_params{}, checks, {file, line});
  handle->arena = &handle->own;
  return handle->own ? handle.release() : nullptr;
}

int allot_arena_release(allot_arena* arena) noexcept {
  if (arena == nullptr) return 0;
  // A scratch's handle is the scratch's.
  if (arena->arena != &arena->own) return code(set_arena_error(Errc::kScopeOpen));
  const Errc done = arena->own.release();
  if (done == Errc::kOk) delete arena;
  return code(done);
}

int allot_arena_set_auto_align(allot_arena* arena, size_t alignment) noexcept {
  Arena* const got = of(arena);
  return code(got != nullptr ? got->set_auto_align(alignment) : Errc::kBadArgument);
}

allot_arena_mark allot_arena_pos(const allot_arena* arena) noexcept {
  const Arena* const got = of(arena);
  const allot::ArenaMark mark = got != nullptr ? got->pos() : allot::ArenaMark{};
  return {mark.offset, mark.stamp};
}

size_t allot_arena_used_bytes(const allot_arena* arena) noexcept {
  const Arena* const got = of(arena);
  return got != nullptr ? got->used_bytes() : 0;
}

void* allot_arena_push(allot_arena* arena, size_t size) noexcept {
  Arena* const got = of(arena);
  return got != nullptr ? got->push_zero(size) : nullptr;
}

void* allot_arena_push_no_zero(allot_arena* arena, size_t size) noexcept {
  Arena* const got = of(arena);
  return got != nullptr ? got->push(size) : nullptr;
}

void* allot_arena_push_aligned(allot_arena* arena, size_t size, size_t alignment) noexcept {
  Arena* const got = of(arena);
  return got != nullptr ? got->push(size, alignment) : nullptr;
}

size_t allot_arena_push_aligner(allot_arena* arena, size_t alignment) noexcept {
  Arena* const got = of(arena);
  return got != nullptr ? got->push_aligner(alignment) : Arena::kFailed;
}

int allot_arena_pop(allot_arena* arena, size_t size) noexcept {
  Arena* const got = of(arena);
  return code(got != nullptr ? got->pop(size) : Errc::kBadArgument);
}

int allot_arena_pop_to(allot_arena* arena, allot_arena_mark mark) noexcept {
  Arena* const got = of(arena);
  return code(got != nullptr ? got->pop_to({mark.offset, mark.stamp}) : Errc::kBadArgument);
}

int allot_arena_clear(allot_arena* arena) noexcept {
  Arena* const got = of(arena);
  return code(got != nullptr ? got->clear() : Errc::kBadArgument);
}

size_t allot_arena_shrink(allot_arena* arena) noexcept {
  Arena* const got = of(arena);
  return got != nullptr ? got->shrink() : 0;
}

size_t allot_arena_committed(const allot_arena* arena) noexcept {
  const Arena* const got = of(arena);
  return got != nullptr ? got->committed() : 0;
}

size_t allot_arena_reserved(const allot_arena* arena) noexcept {
  const Arena* const got = of(arena);
  return got != nullptr ? got->reserved() : 0;
}

allot_arena_temp allot_arena_temp_begin(allot_arena* arena, const char* file, int line) noexcept {
  Arena* const got = of(arena);
  if (got == nullptr) return {};
  auto temp = std::unique_ptr<CTemp>(new (std::nothrow) CTemp(*arena, {file, line}));
  if (temp == nullptr) set_arena_error(Errc::kMachineFull);
  if (temp == nullptr || !temp->temp) return {};
  const std::lock_guard lock(arena->temps_mutex);
  return {arena, put_open(arena->temps, arena->last_serial, temp.release())};
}

void allot_arena_temp_end(allot_arena_temp temp) noexcept {
  if (temp.arena == nullptr) return;
  CTemp* ended = nullptr;
  {
    const std::lock_guard lock(temp.arena->temps_mutex);
    ended = take_open(temp.arena->temps, temp.state);
  }
  if (ended == nullptr) {
    const auto* const core = allot::detail::ArenaAccess::core(*temp.arena->arena);
    if (core != nullptr && core->checks()) core->fault("a scope ended twice", {});
    set_arena_error(Errc::kBadArgument);
  }
  delete ended;
}

allot_arena_temp allot_arena_get_scratch(allot_arena* const* conflicts, size_t count, int checks,
                                         const char* file, int line) noexcept {
  const Arena* named[kMaxConflicts];
  if (count > kMaxConflicts || (conflicts == nullptr && count > 0)) {
    set_arena_error(Errc::kBadArgument);
    return {};
  }
  for (size_t i = 0; i < count; ++i) {
    named[i] = conflicts[i] != nullptr ? conflicts[i]->arena : nullptr;
  }
  auto scratch = std::unique_ptr<CScratch>(new (std::nothrow) CScratch(
      std::span<const Arena* const>(named, count), {file, line}, checks_of(checks)));
  if (scratch == nullptr) set_arena_error(Errc::kMachineFull);
  if (scratch == nullptr || !scratch->scratch) return {};
  scratch->handle.arena = &scratch->scratch.arena();
  allot_arena* const handle = &scratch->handle;
  return {handle, put_open(open_scratches, last_scratch_serial, scratch.release())};
}

void allot_arena_release_scratch(allot_arena_temp scratch) noexcept {
  if (scratch.state == nullptr) return;
  CScratch* const released = take_open(open_scratches, scratch.state);
  if (released == nullptr) set_arena_error(Errc::kBadArgument);
  delete released;
}

int allot_arena_last_error() noexcept { return code(Arena::last_error()); }

const char* allot_arena_describe(int error) noexcept {
  // describe() returns literals: they end with a zero.
  return allot::describe(static_cast<Errc>(error)).data();
}
