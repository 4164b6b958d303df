#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include <allot/session.hpp>

#include "client/arena_core.hpp"
#include "client/arena_source.hpp"
#include "client/session_state.hpp"
#include "shared/platform/page_size.hpp"
#include "shared/platform/populate.hpp"

namespace allot {

ArenaSource::ArenaSource(const Session& session)
    : kind_(Kind::kRegion), session_(std::make_shared<Session>(session)) {}

namespace detail {

Extent BlockSource::reserve(std::size_t /*bytes*/, std::size_t /*minimum_bytes*/,
                            Errc& why) noexcept {
  why = Errc::kArenaKind;
  return {};
}

Errc BlockSource::commit(std::byte* /*base*/, std::size_t /*bytes*/, bool /*populate*/) noexcept {
  return Errc::kArenaKind;
}

std::size_t BlockSource::decommit(std::byte* /*base*/, std::size_t /*bytes*/) noexcept { return 0; }

bool BlockSource::continues_at(std::uintptr_t /*end*/, std::size_t /*bytes*/) const noexcept {
  return false;
}

void BlockSource::report(const ArenaReport& /*arena*/) noexcept {}

namespace {

constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
constexpr std::size_t kRegionAlignmentBytes = std::size_t{2} << 20;

class PageSource final : public BlockSource {
 public:
  explicit PageSource(std::size_t page_bytes) noexcept : page_bytes_(page_bytes) {}

  Extent acquire(std::size_t bytes, std::size_t alignment, Errc& why) noexcept override {
    (void)alignment;  // the arena asked for enough to align inside
    return map(round_up(bytes), PROT_READ | PROT_WRITE, why);
  }

  Extent reserve(std::size_t bytes, std::size_t minimum_bytes, Errc& why) noexcept override {
    const std::size_t minimum = round_up(minimum_bytes);
    std::size_t wanted = std::max(round_up(bytes), minimum);
    for (;;) {
      const Extent extent = map(wanted, PROT_NONE, why);
      if (extent.base != nullptr || wanted <= minimum) return extent;
      wanted = std::max(round_up(wanted / 2), minimum);
    }
  }

  Errc commit(std::byte* base, std::size_t bytes, bool populate) noexcept override {
    if (::mprotect(base, bytes, PROT_READ | PROT_WRITE) != 0) return Errc::kMachineFull;
    if (populate) platform::populate(base, bytes);
    return Errc::kOk;
  }

  std::size_t decommit(std::byte* base, std::size_t bytes) noexcept override {
    if (::madvise(base, bytes, MADV_DONTNEED) != 0) return 0;
    return ::mprotect(base, bytes, PROT_NONE) == 0 ? bytes : 0;
  }

  void give_back(const Extent& extent) noexcept override { ::munmap(extent.base, extent.bytes); }

  std::size_t page_bytes() const noexcept override { return page_bytes_; }

 private:
  [[nodiscard]] std::size_t round_up(std::size_t bytes) const noexcept {
    return (bytes + page_bytes_ - 1) & ~(page_bytes_ - 1);
  }

  // The kernel aligns to its own page; for larger ones the ends are cut off.
  [[nodiscard]] Extent map(std::size_t bytes, int protection, Errc& why) const noexcept {
    const std::size_t slack = page_bytes_ - platform::page_size_bytes();
    void* const got = ::mmap(nullptr, bytes + slack, protection,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) {
      why = Errc::kAddressSpace;
      return {};
    }
    auto* const start = static_cast<std::byte*>(got);
    const std::size_t front = (~reinterpret_cast<std::uintptr_t>(start) + 1) & (page_bytes_ - 1);
    if (front > 0) ::munmap(start, front);
    if (slack > front) ::munmap(start + front + bytes, slack - front);
    // Best effort: where huge pages are off, small ones do.
    if (page_bytes_ >= kHugePageBytes) (void)::madvise(start + front, bytes, MADV_HUGEPAGE);
    return {start + front, bytes, true, nullptr};
  }

  std::size_t page_bytes_;
};

class RegionSource final : public BlockSource {
 public:
  RegionSource(Session session, bool reserves) noexcept
      : session_(std::move(session)), reserves_(reserves) {}

  ~RegionSource() override {
    if (note_ != nullptr) state().arena_notes().end(note_);
  }

  Extent acquire(std::size_t bytes, std::size_t alignment, Errc& why) noexcept override {
    void* const block =
        session_.allocate_aligned(bytes, std::min(alignment, kRegionAlignmentBytes));
    if (block == nullptr) {
      why = Session::last_error().errc();
      return {};
    }
    // It may hold what another session left; an arena never shows that.
    std::memset(block, 0, bytes);
    return {static_cast<std::byte*>(block), bytes, true, nullptr};
  }

  Extent reserve(std::size_t bytes, std::size_t minimum_bytes, Errc& why) noexcept override {
    if (bytes == kArenaReserveBytes) bytes = kArenaRegionReserveBytes;
    const auto range = state().reserve(std::max(bytes, minimum_bytes), minimum_bytes);
    if (!range) {
      why = range.error().errc();
      set_last_error(range.error());  // it says which limit
      return {};
    }
    return {range->base, range->bytes, true, this};
  }

  Errc commit(std::byte* base, std::size_t bytes, bool populate) noexcept override {
    return state().grow(base, bytes, populate);
  }

  std::size_t decommit(std::byte* base, std::size_t bytes) noexcept override {
    return state().shrink(base, bytes);
  }

  void give_back(const Extent& extent) noexcept override {
    if (extent.token != nullptr) {
      state().unreserve(extent.base);
    } else {
      (void)session_.free(extent.base);
    }
  }

  void report(const ArenaReport& arena) noexcept override {
    ArenaNotes& notes = state().arena_notes();
    // Not for an arena without memory; and after a failure not before it has grown again.
    if (note_ == nullptr && arena.committed_bytes > tried_at_bytes_) {
      tried_at_bytes_ = arena.committed_bytes;
      try {
        note_ = notes.begin(arena.kind, arena.name, arena.made_at);
      } catch (const std::bad_alloc&) {
        return;  // a note is a help
      }
    }
    if (note_ == nullptr) return;
    notes.update(note_, {arena.used_bytes, arena.committed_bytes, arena.reserved_bytes});
  }

  std::size_t page_bytes() const noexcept override {
    return reserves_ ? region::kGranuleBytes : platform::page_size_bytes();
  }

 private:
  [[nodiscard]] SessionState& state() const noexcept { return SessionAccess::state(session_); }

  Session session_;
  bool reserves_;
  std::uint64_t tried_at_bytes_ = 0;
  ArenaNotes::Record note_ = nullptr;
};

class ParentSource final : public BlockSource {
 public:
  explicit ParentSource(Arena& parent) noexcept
      : core_(ArenaAccess::core(parent)),
        depth_(core_->lease_depth()),
        scope_(settle_in_scope(parent)) {}

  Extent acquire(std::size_t bytes, std::size_t alignment, Errc& why) noexcept override {
    return core_->push_for_child(bytes, alignment, {depth_, scope_}, why);
  }

  bool continues_at(std::uintptr_t end, std::size_t bytes) const noexcept override {
    return core_->continues_at(end, bytes);
  }

  void give_back(const Extent& extent) noexcept override {
    ArenaCore::end_child_block(core_, extent);
  }

  std::size_t page_bytes() const noexcept override { return core_->page_bytes(); }

 private:
  ArenaCore* core_;
  unsigned depth_;
  std::uint64_t scope_;
};

}  // namespace

std::unique_ptr<BlockSource> make_page_source(std::size_t page_bytes) {
  return std::make_unique<PageSource>(page_bytes);
}

std::unique_ptr<BlockSource> make_source(const ArenaOptions& options, bool reserves, Errc& why) {
  const std::size_t machine_page = platform::page_size_bytes();
  const std::size_t page = options.page_bytes == 0 ? machine_page : options.page_bytes;
  if (!is_alignment(page) || page < machine_page || page > (std::size_t{1} << 30)) {
    why = Errc::kBadArgument;
    return nullptr;
  }
  switch (options.source.kind()) {
    case ArenaSource::Kind::kPages: return make_page_source(page);
    case ArenaSource::Kind::kRegion:
      return std::make_unique<RegionSource>(*options.source.session(), reserves);
    case ArenaSource::Kind::kArena: break;
  }
  if (!*options.source.parent()) {
    why = Errc::kClosed;
    return nullptr;
  }
  return std::make_unique<ParentSource>(*options.source.parent());
}

}  // namespace detail
}  // namespace allot
