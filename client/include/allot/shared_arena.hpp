// SharedArena: one arena of a region that many threads of many processes push to at once.
//
// Published under a name; attached by finding it. Each user (one SharedArena object, for one thread
// at a time; attach once more for each thread) claims a chunk and bumps inside it privately: a push
// is an add, a compare and one store that tells others how far the chunk is filled. What one user
// pushes lies in order in each of its chunks; between users there is none. Nobody waits for
// anybody.
//
// A user that is killed leaves one open chunk; the recovery of its session closes it, and whoever
// needs room next goes on behind what is filled. All that was pushed stays where it is, readable,
// until clear(), or until nobody has the arena and its name is gone. At most one chunk a user is
// not full, and of each chunk at most the size of one push: usage() tells.
//
// Capacity and chunks are decided at creation; the memory is committed then. What to push: plain
// data without pointers; name a thing to others by offset_of() and find it by at().
//
// In a forked child, and after Session::close(), the arena is not mapped: only destructors may be
// called then.
#pragma once

#include <cstring>
#include <limits>
#include <type_traits>

#include <allot/arena.hpp>
#include <allot/detail/arena_bump.hpp>
#include <allot/detail/own_word.hpp>
#include <allot/detail/shared_chunks.hpp>

namespace allot {

/// How large a shared arena is, and of what chunks.
struct SharedArenaOptions {
  /// What can be pushed in all, rounded up to chunks; at most 4092 chunks.
  std::uint64_t size_bytes = std::uint64_t{16} << 20;
  /// No push may be larger. A multiple of 16, 16 .. 4 MiB - 16; 0: 64 KiB, or a thousandth of the
  /// size if that is more.
  std::uint64_t chunk_bytes = 0;
};

class SharedArena {
 public:
  static constexpr std::uint64_t kUnitBytes = 16;

  /// Makes an arena and publishes it as `name` (1 .. 63 printable characters): it lives until
  /// unpublish() and the end of its last user. kNameTaken, kBadName, kBadArgument, kSessionQuota
  /// and what else a grant may say.
  [[nodiscard]] static Expected<SharedArena> create(const Session& session, std::string_view name,
                                                    const SharedArenaOptions& options = {},
                                                    Place place = Place::here()) {
    if (options.chunk_bytes % kUnitBytes != 0) {
      return Error(Errc::kBadArgument,
                   std::to_string(options.chunk_bytes) + " bytes a chunk are no multiple of 16");
    }
    const std::uint64_t units =
        options.size_bytes / kUnitBytes + (options.size_bytes % kUnitBytes == 0 ? 0 : 1);
    auto shape = detail::shape_of(detail::ChunkForm::kArena, kUnitBytes, units,
                                  options.chunk_bytes / kUnitBytes);
    if (!shape) return shape.error();
    return made_of(detail::SharedChunks::create(session, name, *shape, place));
  }
  /// Attaches to a published arena. What its users wrote before they published or offered anything
  /// of it is visible. kNameUnknown, also while it is being released; kArenaKind or kTypeMismatch
  /// for another thing of that name.
  [[nodiscard]] static Expected<SharedArena> attach(const Session& session, std::string_view name,
                                                    ShareAccess access = ShareAccess::kReadWrite) {
    return made_of(
        detail::SharedChunks::attach(session, name, detail::ChunkForm::kArena, kUnitBytes, access));
  }

  SharedArena() noexcept = default;
  SharedArena(SharedArena&& other) noexcept { swap(other); }
  SharedArena& operator=(SharedArena&& other) noexcept {
    swap(other);
    return *this;
  }
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;
  /// Leaves the arena: its open chunk is closed, what it pushed stays.
  ~SharedArena() = default;

  explicit operator bool() const noexcept { return static_cast<bool>(chunks_); }

  /// `size` bytes (1 .. a chunk, less `alignment` - 16), aligned to `alignment` (a power of two up
  /// to 64 KiB); contents unspecified. nullptr and last_error(): kArenaFull, kReadOnly,
  /// kSizeTooLarge, kSizeZero, kBadAlignment, kClosed (an empty object). A message is never sent.
  [[nodiscard, gnu::always_inline]] void* push(std::size_t size,
                                               std::size_t alignment = kUnitBytes) noexcept {
    const std::uintptr_t mask = alignment - 1;
    const std::uintptr_t start = (cursor_ + mask) & ~mask;
    const std::uintptr_t end = start + size;
    if (!detail::is_alignment(alignment) || alignment > kMaxAlignment ||
        size - 1 >= detail::kMaxArenaBytes || end > limit_) [[unlikely]]
      return push_slow(size, alignment);
    cursor_ = end;
    // Relaxed: it says how far the chunk is taken, not that what lies there is written.
    fill_->store_relaxed(mine_ +
                         static_cast<std::uint32_t>((end - begin_ + kUnitBytes - 1) / kUnitBytes));
    return reinterpret_cast<void*>(start);  // NOLINT(performance-no-int-to-ptr): a bump cursor
  }
  /// The same, zeroed.
  [[nodiscard]] void* push_zero(std::size_t size, std::size_t alignment = kUnitBytes) noexcept {
    void* const block = push(size, alignment);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  /// Room for `count` Ts; contents unspecified.
  template <class T>
  [[nodiscard]] T* push_array(std::size_t count) noexcept {
    check_type<T>();
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, sizeof(T), &bytes)) bytes = ~std::size_t{0};
    return static_cast<T*>(push(bytes, alignof(T)));
  }
  /// A T made of `args`, of plain data; nullptr as push().
  template <class T, class... Args>
  [[nodiscard]] T* make(Args&&... args) {
    check_type<T>();
    void* const block = push(sizeof(T), alignof(T));
    return block == nullptr ? nullptr : ::new (block) T(std::forward<Args>(args)...);
  }

  /// Where `address`, in the arena, lies from its start: the same in every process.
  [[nodiscard]] std::uint64_t offset_of(const void* address) const noexcept {
    return static_cast<std::uint64_t>(static_cast<const std::byte*>(address) - chunks_.data());
  }
  /// What lies at `offset`; nullptr unless `size_bytes` from there are filled, in one chunk.
  [[nodiscard]] void* at(std::uint64_t offset, std::uint64_t size_bytes = 1) const noexcept {
    const std::uint64_t chunk_bytes = chunks_ ? chunks_.shape().chunk_bytes() : 1;
    if (!chunks_ || offset >= chunks_.size_bytes()) return nullptr;
    const auto chunk = static_cast<std::uint32_t>(offset / chunk_bytes);
    const std::uint64_t filled = chunks_.filled(chunk) * kUnitBytes;
    const std::uint64_t in_chunk = offset % chunk_bytes;
    if (in_chunk >= filled || size_bytes > filled - in_chunk) return nullptr;
    return chunks_.data() + offset;
  }
  /// True if `address` lies in the arena, filled or not.
  [[nodiscard]] bool contains(const void* address) const noexcept {
    return chunks_ && offset_of(address) < chunks_.size_bytes();
  }

  /// Empties the arena for everybody; its epoch() grows. Refused with kArenaShared while another
  /// user, of whatever process, has it; kNotOwner for another user id than the publisher's. After
  /// kDeadline it may still happen; then pushes fail until another clear() is answered.
  [[nodiscard]] Expected<void> clear() {
    forget_chunk();
    return chunks_.clear();
  }
  /// Hides `name`, under which it was published. The arena goes when its last user leaves.
  [[nodiscard]] Expected<void> unpublish(std::string_view name) { return chunks_.unpublish(name); }
  /// How often the arena was cleared, modulo 2^18.
  [[nodiscard]] std::uint32_t epoch() const noexcept { return chunks_.epoch(); }
  [[nodiscard]] ChunkUsage usage() const noexcept { return chunks_.usage(); }
  [[nodiscard]] std::uint64_t size_bytes() const noexcept { return chunks_.size_bytes(); }
  [[nodiscard]] std::uint64_t chunk_bytes() const noexcept { return chunks_.shape().chunk_bytes(); }

  /// Why this thread's latest push returned nullptr: the same as Arena::last_error().
  [[nodiscard]] static Errc last_error() noexcept { return Arena::last_error(); }

 private:
  template <class T>
  static constexpr void check_type() noexcept {
    static_assert(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>,
                  "a shared arena holds plain bytes: no destructor runs when a process is killed, "
                  "and pointers mean nothing in another process");
  }
  static Expected<SharedArena> made_of(Expected<detail::SharedChunks> chunks) {
    if (!chunks) return chunks.error();
    SharedArena arena;
    arena.chunks_ = std::move(*chunks);
    return arena;
  }
  void forget_chunk() noexcept {
    cursor_ = limit_ = begin_ = 0;
    fill_ = nullptr;
  }
  void swap(SharedArena& other) noexcept {
    std::swap(chunks_, other.chunks_);
    std::swap(cursor_, other.cursor_);
    std::swap(limit_, other.limit_);
    std::swap(begin_, other.begin_);
    std::swap(fill_, other.fill_);
    std::swap(mine_, other.mine_);
  }
  [[nodiscard, gnu::noinline]] void* push_slow(std::size_t size, std::size_t alignment) noexcept {
    Errc errc = Errc::kOk;
    if (size == 0) errc = Errc::kSizeZero;
    if (!detail::is_alignment(alignment) || alignment > kMaxAlignment) errc = Errc::kBadAlignment;
    // Chunks begin at multiples of 16 only.
    const std::size_t padding = alignment > kUnitBytes ? alignment - kUnitBytes : 0;
    if (errc == Errc::kOk && size > chunk_bytes() - std::min<std::size_t>(padding, chunk_bytes())) {
      errc = chunks_ ? Errc::kSizeTooLarge : Errc::kClosed;
    }
    if (errc == Errc::kOk) {
      errc =
          chunks_.claim(static_cast<std::uint32_t>((size + padding + kUnitBytes - 1) / kUnitBytes));
    }
    if (errc != Errc::kOk) {
      detail::set_last_arena_error(errc);
      return nullptr;
    }
    begin_ = reinterpret_cast<std::uintptr_t>(chunks_.chunk_data(chunks_.open().chunk));
    cursor_ = begin_ + chunks_.open().filled * kUnitBytes;
    limit_ = begin_ + chunk_bytes();
    fill_ = chunks_.word();
    mine_ = chunks_.open().mine;
    return push(size, alignment);
  }

  static constexpr std::size_t kMaxAlignment = std::size_t{64} << 10;

  std::uintptr_t cursor_ = 0;
  std::uintptr_t limit_ = 0;
  std::uintptr_t begin_ = 0;
  detail::Atomic<std::uint32_t>* fill_ = nullptr;  // the open chunk's word; ours alone to store to
  std::uint32_t mine_ = 0;                         // {this session, 0}
  detail::SharedChunks chunks_;
};

}  // namespace allot
