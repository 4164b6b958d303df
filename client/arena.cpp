#include <allot/arena.hpp>

#include <cstdio>
#include <cstdlib>

#include "client/arena_core.hpp"

namespace allot {

using detail::ArenaCore;
using detail::ArenaEntry;
using detail::set_arena_error;

namespace {

Arena open(const ArenaCore::Policy& policy, const ArenaOptions& options, Place place) noexcept {
  Arena arena;
  Errc why = Errc::kOk;
  ArenaCore* const core = ArenaCore::create(policy, options, place, why);
  if (core == nullptr) {
    set_arena_error(why);
  } else {
    core->hold(arena);
  }
  return arena;
}

[[noreturn]] void abort_full(const ArenaCore& core, std::size_t size, Errc why, Place place) {
  const std::string_view text = describe(why);
  std::fprintf(stderr, "allot: arena '%s' (made at %s:%d): push of %zu bytes at %s:%d: %.*s\n",
               core.name().c_str(), core.made_at().file, core.made_at().line, size, place.file,
               place.line, static_cast<int>(text.size()), text.data());
  std::abort();
}

}  // namespace

std::string_view describe(ArenaKind kind) noexcept {
  switch (kind) {
    case ArenaKind::kFixed: return "fixed";
    case ArenaKind::kChained: return "chained";
    case ArenaKind::kVirtual: return "virtual";
    case ArenaKind::kChainedVirtual: return "chained virtual";
  }
  return "unknown";
}

std::string_view describe(ArenaEvent::Kind kind) noexcept {
  switch (kind) {
    case ArenaEvent::Kind::kPush: return "push";
    case ArenaEvent::Kind::kPop: return "pop";
    case ArenaEvent::Kind::kGrow: return "grow";
    case ArenaEvent::Kind::kClear: return "clear";
    case ArenaEvent::Kind::kScopeBegin: return "scope begin";
    case ArenaEvent::Kind::kScopeEnd: return "scope end";
    case ArenaEvent::Kind::kRelease: return "release";
  }
  return "unknown";
}

Arena Arena::fixed(std::span<std::byte> buffer, const ArenaOptions& options, Place place) noexcept {
  return open({ArenaKind::kFixed, buffer.size(), buffer}, options, place);
}

Arena Arena::fixed(std::size_t size_bytes, const ArenaOptions& options, Place place) noexcept {
  return open({ArenaKind::kFixed, size_bytes, {}}, options, place);
}

Arena Arena::chained(const ArenaOptions& options, Place place) noexcept {
  return open({ArenaKind::kChained, options.block_bytes, {}}, options, place);
}

Arena Arena::reserve(std::size_t reserve_bytes, const ArenaOptions& options, Place place) noexcept {
  return open({ArenaKind::kVirtual, reserve_bytes, {}}, options, place);
}

Arena Arena::reserve_chained(std::size_t reserve_bytes, const ArenaOptions& options,
                             Place place) noexcept {
  return open({ArenaKind::kChainedVirtual, reserve_bytes, {}}, options, place);
}

Arena::Arena(Arena&& other) noexcept
    : released_file_(other.released_file_), released_line_(other.released_line_) {
  if (other.core_ != nullptr) other.core_->moved(other, *this);
  bump_ = std::exchange(other.bump_, detail::ArenaBump());
  core_ = std::exchange(other.core_, nullptr);
}

Arena& Arena::operator=(Arena&& other) noexcept {
  if (this == &other) return *this;
  if (core_ != nullptr) destroy();
  if (other.core_ != nullptr) other.core_->moved(other, *this);
  bump_ = std::exchange(other.bump_, detail::ArenaBump());
  core_ = std::exchange(other.core_, nullptr);
  released_file_ = other.released_file_;
  released_line_ = other.released_line_;
  return *this;
}

void Arena::destroy() noexcept {
  (void)core_->end(*this, core_->made_at(), true);
  core_ = nullptr;
  bump_ = detail::ArenaBump();
}

Errc Arena::release(Place place) noexcept {
  if (core_ == nullptr) {
    const ArenaEntry entry(*this, "release", place);
    return set_arena_error(entry.why());
  }
  const bool checks = core_->checks();
  if (const Errc done = core_->end(*this, place, false); done != Errc::kOk) {
    return set_arena_error(done);
  }
  core_ = nullptr;
  bump_ = detail::ArenaBump();
  if (checks) detail::ArenaAccess::set_released(*this, place);
  return Errc::kOk;
}

void* Arena::push_slow(std::size_t size, std::size_t alignment, unsigned how, const char* file,
                       int line) noexcept {
  const Place place{file, line};
  const ArenaEntry entry(*this, "a push", place);
  Errc why = entry.why();
  if (entry) {
    ArenaCore& core = *entry.core();
    detail::ArenaBump& bump = entry.bump();
    const std::uint64_t grown = core.grown_bytes();
    if ((how & kAuto) != 0) alignment = bump.align_mask + 1;
    void* const block = core.push(bump, size, alignment, (how & kZero) != 0, why);
    core.tell_growth(bump, grown, block, place);
    if (block != nullptr) {
      core.tell(ArenaEvent::Kind::kPush, bump, block, size, place);
      return block;
    }
    if ((how & kMust) != 0 && core.options().when_full == WhenFull::kAbort) {
      abort_full(core, size, why, place);
    }
  }
  set_arena_error(why);
  return nullptr;
}

std::size_t Arena::push_aligner(std::size_t alignment, Place place) noexcept {
  const ArenaEntry entry(*this, "push_aligner", place);
  Errc why = entry.why();
  if (entry) {
    const std::uint64_t grown = entry.core()->grown_bytes();
    const std::size_t padding = entry.core()->align(entry.bump(), alignment, why);
    entry.core()->tell_growth(entry.bump(), grown, nullptr, place);
    if (padding != kFailed) return padding;
  }
  set_arena_error(why);
  return kFailed;
}

Errc Arena::set_auto_align(std::size_t alignment) noexcept {
  const ArenaEntry entry(*this, "set_auto_align", Place{});
  if (!entry) return set_arena_error(entry.why());
  if (!detail::is_alignment(alignment) || alignment > detail::kMaxArenaBytes) {
    return set_arena_error(Errc::kBadAlignment);
  }
  entry.bump().align_mask = alignment - 1;
  return Errc::kOk;
}

void Arena::adopt_destructor(detail::DestructorNode* node) noexcept {
  const ArenaEntry entry(*this, "make", Place{});
  if (entry) entry.core()->adopt(entry.bump(), node);
}

ArenaMark Arena::pos_slow() const noexcept {
  const ArenaEntry entry(*this);
  if (!entry) {
    set_arena_error(entry.why());
    return {};
  }
  return {ArenaCore::used(entry.bump()), entry.bump().stamp};
}

Errc Arena::pop_to_slow(const ArenaMark& mark, Place place) noexcept {
  const ArenaEntry entry(*this, "pop_to", place);
  if (!entry) return set_arena_error(entry.why());
  detail::ArenaBump& bump = entry.bump();
  if (mark.stamp != bump.stamp) {
    const bool ours = mark.stamp >> 32 == bump.stamp >> 32;
    return set_arena_error(ours ? Errc::kStaleMark : Errc::kForeignMark);
  }
  const std::uint64_t before = ArenaCore::used(bump);
  const Errc done = entry.core()->unwind(bump, mark.offset);
  if (done != Errc::kOk) return set_arena_error(done);
  entry.core()->tell(ArenaEvent::Kind::kPop, bump, nullptr, before - mark.offset, place);
  return done;
}

Errc Arena::pop_slow(std::size_t size, Place place) noexcept {
  const ArenaEntry entry(*this, "pop", place);
  if (!entry) return set_arena_error(entry.why());
  detail::ArenaBump& bump = entry.bump();
  const std::uint64_t before = ArenaCore::used(bump);
  if (size > before) return set_arena_error(Errc::kPopTooMuch);
  const Errc done = entry.core()->unwind(bump, before - size);
  if (done != Errc::kOk) return set_arena_error(done);
  entry.core()->tell(ArenaEvent::Kind::kPop, bump, nullptr, size, place);
  return done;
}

Errc Arena::pop_last_slow(const void* block, std::size_t size, Place place) noexcept {
  const ArenaEntry entry(*this, "pop_last", place);
  if (!entry) return set_arena_error(entry.why());
  const Errc done =
      entry.core()->pop_last(entry.bump(), reinterpret_cast<std::uintptr_t>(block), size);
  if (done != Errc::kOk) return set_arena_error(done);
  entry.core()->tell(ArenaEvent::Kind::kPop, entry.bump(), block, size, place);
  return done;
}

Errc Arena::clear(Place place) noexcept {
  return clear(core_ != nullptr ? core_->options().retain_bytes : 0, place);
}

Errc Arena::clear(std::size_t retain_bytes, Place place) noexcept {
  const ArenaEntry entry(*this, "clear", place);
  if (!entry) return set_arena_error(entry.why());
  const std::uint64_t before = ArenaCore::used(entry.bump());
  const Errc done = entry.core()->clear(entry.bump(), retain_bytes);
  if (done != Errc::kOk) return set_arena_error(done);
  entry.core()->tell(ArenaEvent::Kind::kClear, entry.bump(), nullptr, before, place);
  return done;
}

std::size_t Arena::shrink() noexcept {
  const ArenaEntry entry(*this, "shrink", Place{});
  if (entry) return entry.core()->shrink(entry.bump());
  set_arena_error(entry.why());
  return 0;
}

std::size_t Arena::committed() const noexcept {
  const ArenaEntry entry(*this);
  return entry ? entry.core()->committed() : 0;
}

std::size_t Arena::reserved() const noexcept {
  const ArenaEntry entry(*this);
  return entry ? entry.core()->reserved() : 0;
}

bool Arena::contains(const void* address) const noexcept {
  const ArenaEntry entry(*this);
  return entry && entry.core()->contains(entry.bump(), reinterpret_cast<std::uintptr_t>(address));
}

ArenaKind Arena::kind() const noexcept {
  return core_ != nullptr ? core_->kind() : ArenaKind::kFixed;
}

std::size_t Arena::page_bytes() const noexcept {
  return core_ != nullptr ? core_->page_bytes() : 0;
}

std::string_view Arena::name() const noexcept {
  return core_ != nullptr ? std::string_view(core_->name()) : std::string_view();
}

Place Arena::made_at() const noexcept { return core_ != nullptr ? core_->made_at() : Place{}; }

}  // namespace allot
