// BlockPool and Pool<T>: blocks of one size, with spans and counters of their own.
//
// A pool is a bin of a session's heaps besides those of the size classes: each thread has a private
// stack of free blocks in front, spans behind it grow with demand, and what a pool holds lies in no
// page with anything else. Its blocks are blocks like others: they can be offered, adopted,
// published and freed by whoever owns them, and are recovered when their owner is killed. `allotctl
// pools` shows each by its name.
//
// A pool lasts as long as its session, and is opened anew by its name: BlockPool is a handle to it,
// cheap to copy. The calls may be made from any thread; allocating and freeing take no lock, and
// make no system call unless a span must be granted. As with <allot/fast.hpp>, a program that
// includes this is bound to the layout of the liballot it was compiled against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <allot/fast.hpp>
#include <allot/owned.hpp>
#include <allot/session.hpp>

namespace allot {

/// What two owners' blocks must not share, so that neither waits for the other's stores.
inline constexpr std::size_t kCacheLineBytes = 64;

struct BlockPoolOptions {
  /// 1 .. 15 printable characters, without spaces; a session has one pool of each name.
  std::string name;
  /// 1 .. 65,536. Rounded up to a multiple of 16, or of `alignment`.
  std::size_t block_bytes = 0;
  /// A power of two, 1 .. 65,536. kCacheLineBytes: no two blocks share a cache line.
  std::size_t alignment = 16;
};

class ALLOT_EXPORT BlockPool {
 public:
  /// Opens the pool of this name in `session`, and makes it if it is not there. Costs no memory
  /// until the first block. kBadName, kSizeZero, kSizeTooLarge, kBadAlignment; kBadArgument if the
  /// pool is there with blocks of another size; kTooManyPools (51 a session).
  [[nodiscard]] static Expected<BlockPool> open(const Session& session,
                                                const BlockPoolOptions& options);

  /// A block of block_bytes(), owned by the session. Contents unspecified. nullptr on failure:
  /// Session::last_error() says why.
  [[nodiscard]] void* allocate() noexcept {
    void* block = nullptr;
    if (detail::try_pop(FastAccess::heap(session_), bin_, block)) [[likely]]
      return block;
    return allocate_slowly();
  }

  /// Frees a block of this pool that the session owns; also one that was adopted from another
  /// session's pool of the same block size. nullptr is ignored. Errors as Session::free(), and
  /// kNotInPool: then nothing has changed.
  Errc free(void* block) noexcept {
    if (detail::try_push_to(FastAccess::heap(session_), bin_, block)) [[likely]]
      return Errc::kOk;
    return free_slowly(block);
  }

  /// Fills `blocks` from its beginning; as Session::allocate_n().
  [[nodiscard]] Batch allocate_n(std::span<void*> blocks) noexcept;

  /// As Session::free_n(), of blocks of this pool.
  Batch free_n(std::span<void* const> blocks) noexcept;

  /// What a block holds; at least what was asked for.
  [[nodiscard]] std::size_t block_bytes() const noexcept { return block_bytes_; }
  [[nodiscard]] const Session& session() const noexcept { return session_; }

  /// True for two handles to one pool.
  friend bool operator==(const BlockPool& a, const BlockPool& b) noexcept {
    return a.session_ == b.session_ && a.bin_ == b.bin_;
  }

 private:
  BlockPool(Session session, std::uint32_t bin, std::size_t block_bytes) noexcept
      : session_(std::move(session)), bin_(bin), block_bytes_(block_bytes) {}
  [[nodiscard]] void* allocate_slowly() noexcept;
  Errc free_slowly(void* block) noexcept;

  Session session_;
  std::uint32_t bin_;
  std::size_t block_bytes_;
};

struct PoolOptions {
  std::string name;              // as in BlockPoolOptions
  bool own_cache_lines = false;  // no two objects share a cache line
};

/// A pool of Ts. T is trivially destructible, as in Session::make(): when its owner is killed no
/// destructor runs.
template <class T>
class Pool {
  static_assert(detail::kMayLiveInARegion<T>,
                "T must be trivially destructible and have no virtual functions");

 public:
  /// As BlockPool::open().
  [[nodiscard]] static Expected<Pool> open(const Session& session, const PoolOptions& options) {
    const std::size_t alignment =
        options.own_cache_lines && alignof(T) < kCacheLineBytes ? kCacheLineBytes : alignof(T);
    auto blocks = BlockPool::open(session, {options.name, sizeof(T), alignment});
    if (!blocks) return blocks.error();
    return Pool(std::move(*blocks));
  }

  /// A T constructed from `args`, owned by the session until free(); nullptr on failure:
  /// Session::last_error() says why.
  template <class... Args>
  [[nodiscard]] T* make(Args&&... args) {
    void* const block = blocks_.allocate();
    if (block == nullptr) [[unlikely]]
      return nullptr;
    FreeUnlessMade guard{this, block};
    T* const made = new (block) T(std::forward<Args>(args)...);
    guard.block = nullptr;
    return made;
  }

  /// As BlockPool::free().
  Errc free(T* object) noexcept { return blocks_.free(object); }

  [[nodiscard]] const BlockPool& blocks() const noexcept { return blocks_; }
  [[nodiscard]] BlockPool& blocks() noexcept { return blocks_; }

 private:
  // A constructor that throws leaves no block behind.
  struct FreeUnlessMade {
    Pool* pool;
    void* block;
    ~FreeUnlessMade() {
      if (block != nullptr) (void)pool->blocks_.free(block);
    }
  };
  explicit Pool(BlockPool blocks) noexcept : blocks_(std::move(blocks)) {}

  BlockPool blocks_;
};

}  // namespace allot
