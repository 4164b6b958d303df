// ArenaCore: what lies behind an arena's handle: its blocks, source, options and open things.
//
// Made by Arena's named constructors and used by its cold paths; the hot ones know only ArenaBump.
// Split over: arena_core.cpp (life, entry), arena_scopes.cpp (scopes, leases), arena_growth.cpp
// (push that does not fit), arena_unwind.cpp (pop, clear, shrink). One handle at a time holds the
// arena: the one it was made with, or that of the youngest scratch opened on it (`holder_`); its
// registers are the handle's own, or `shared_` if the arena is instrumented (checks, hook, mutex):
// then every handle is parked.
//
// Positions are one line of offsets, 0 .. used. Blocks lie on it in order. A push too large for a
// block has a block of its own, a *lone* one, which lies on the line where it was pushed: the
// current block's origin moves by its size, so that what is pushed after it comes after it.
//
// Invariants
// C1. current_ and its `older` chain are the blocks that were bumped in, youngest first; lone_ and
//     its chain the lone ones; spare_ the kept ones. A block is in one of them.
// C2. committed_ and reserved_ are the sums over all of them; committed_ <= limit_bytes, but for a
//     fixed arena's buffer.
// C3. Nothing is freed or moved by a call that fails.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <allot/arena.hpp>
#include <allot/owning_arena.hpp>
#include <allot/temp.hpp>

#include "client/arena_source.hpp"

namespace allot::detail {

struct ArenaBlock {
  ArenaBlock* older = nullptr;
  Extent extent;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;        // of the payload
  std::uintptr_t committed = 0;  // end of what may be touched
  std::uintptr_t cursor = 0;     // while it is not the current one
  std::uintptr_t origin = 0;
  std::uintptr_t dirty = 0;
  std::size_t commit_step = 0;
  std::size_t charged_bytes = 0;    // its part of committed()
  ArenaBlock* pushed_in = nullptr;  // of a lone block: the block current then

  [[nodiscard]] std::uintptr_t usable_end() const noexcept {
    return committed < end ? committed : end;
  }
  // Of a lone block: where it lies on the line of offsets.
  [[nodiscard]] std::uint64_t first_offset() const noexcept { return begin - origin; }
  [[nodiscard]] std::uint64_t end_offset() const noexcept { return cursor - origin; }
};

// A scope of an arena with checks, a hook or a mutex: where it was opened and by whom.
struct ScopeRecord {
  ScopeRecord* older = nullptr;
  Place place;
  std::uintptr_t thread = 0;
  ArenaScope scope{};
};

// A scope that ended before a younger one: the barrier that its end should have restored.
struct EarlyEnd {
  EarlyEnd* next = nullptr;
  std::uint64_t barrier = 0;
  std::uint64_t before = 0;
};

// A block that a child arena holds.
struct ChildBlock {
  std::uint64_t end_offset = 0;
  ChildBlock* older = nullptr;
  ChildBlock* younger = nullptr;
};

// A block as a picture shows it, in bytes from its begin.
struct BlockExtent {
  std::uint64_t used = 0;
  std::uint64_t committed = 0;
  std::uint64_t reserved = 0;
  std::uint64_t last_offset = 0;  // on the line of positions
  bool lone = false;
};

class ArenaCore {
 public:
  struct Policy {
    ArenaKind kind = ArenaKind::kFixed;
    std::size_t first_bytes = 0;  // of the first block or reservation
    std::span<std::byte> buffer;  // the caller's, or empty
  };

  /// nullptr, and why, if there is no memory or the options make no sense.
  [[nodiscard]] static ArenaCore* create(const Policy& policy, const ArenaOptions& options,
                                         Place place, Errc& why) noexcept;
  ArenaCore(const ArenaCore&) = delete;
  ArenaCore& operator=(const ArenaCore&) = delete;

  // Life (arena_core.cpp).
  void hold(Arena& arena) noexcept;
  void moved(Arena& from, Arena& to) noexcept;
  [[nodiscard]] Errc end(Arena& arena, Place place, bool in_destructor) noexcept;
  [[noreturn]] void fault(const char* what, Place place) const noexcept;
  [[noreturn]] void fault(const char* what, Place place, const char* why,
                          Place because) const noexcept;

  // Growth (arena_growth.cpp).
  [[nodiscard]] void* push(ArenaBump& bump, std::size_t size, std::size_t alignment, bool zero,
                           Errc& why) noexcept;
  [[nodiscard]] std::size_t align(ArenaBump& bump, std::size_t alignment, Errc& why) noexcept;
  // What was open in the parent when a child was made.
  struct ChildPlace {
    unsigned lease_depth = 0;
    std::uint64_t scope = 0;
  };
  /// kScopeOpen while something younger than the child is open: its end would take the block.
  [[nodiscard]] Extent push_for_child(std::size_t bytes, std::size_t alignment,
                                      const ChildPlace& child, Errc& why) noexcept;
  /// True if a push of `bytes` now would begin at `end`.
  [[nodiscard]] bool continues_at(std::uintptr_t end, std::size_t bytes) noexcept;
  static void end_child_block(ArenaCore* core, const Extent& extent) noexcept;
  void adopt(ArenaBump& bump, DestructorNode* node) noexcept;

  // Unwinding (arena_unwind.cpp).
  [[nodiscard]] Errc unwind(ArenaBump& bump, std::uint64_t offset) noexcept;
  [[nodiscard]] Errc pop_last(ArenaBump& bump, std::uintptr_t address, std::size_t size) noexcept;
  [[nodiscard]] Errc clear(ArenaBump& bump, std::size_t retain_bytes) noexcept;
  [[nodiscard]] std::size_t shrink(ArenaBump& bump) noexcept;
  void reset_floor(ArenaBump& bump) noexcept;

  // Scopes (arena_scopes.cpp).
  /// False, and no scope, without memory for its record. `record` is null if the arena needs none.
  [[nodiscard]] bool begin_scope(Arena& handle, Place place, ArenaScope& scope,
                                 ScopeRecord*& record) noexcept;
  void end_scope(Arena& handle, ArenaScope scope, ScopeRecord* record, bool keep) noexcept;
  /// Ends the process if something younger than this scratch is open.
  void check_lease_end(const Arena& lease, const ArenaScope& scope, const ScopeRecord* record,
                       Place place) const noexcept;
  /// Where the youngest scope was opened; where the arena was made if there is none.
  [[nodiscard]] Place opened_at() const noexcept;
  void lease(Arena& from, Arena& to) noexcept;
  void end_lease(Arena& from, Arena& to) noexcept;

  // For pictures (arena_picture.cpp), oldest first.
  [[nodiscard]] std::vector<BlockExtent> block_extents(const ArenaBump& bump) const;

  void tell(ArenaEvent::Kind kind, const ArenaBump& bump, const void* address, std::size_t size,
            Place place) const noexcept;
  void report(const ArenaBump& bump) const noexcept;
  [[nodiscard]] bool contains(const ArenaBump& bump, std::uintptr_t address) const noexcept;
  /// Tells of growth since there was `before`, if there was any.
  void tell_growth(const ArenaBump& bump, std::uint64_t before, const void* address,
                   Place place) const noexcept {
    if (grown_bytes_ == before) return;
    tell(ArenaEvent::Kind::kGrow, bump, address, grown_bytes_ - before, place);
  }
  [[nodiscard]] static std::uint64_t used(const ArenaBump& bump) noexcept {
    return bump.cursor - bump.origin;
  }
  [[nodiscard]] unsigned lease_depth() const noexcept { return lease_depth_; }
  [[nodiscard]] std::size_t page_bytes() const noexcept { return page_bytes_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] Place made_at() const noexcept { return made_at_; }
  [[nodiscard]] ArenaKind kind() const noexcept { return kind_; }
  [[nodiscard]] bool checks() const noexcept { return checks_; }
  [[nodiscard]] const ArenaOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::size_t committed() const noexcept { return committed_; }
  /// All that was ever acquired or committed.
  [[nodiscard]] std::uint64_t grown_bytes() const noexcept { return grown_bytes_; }
  [[nodiscard]] std::size_t reserved() const noexcept { return reserved_; }
  [[nodiscard]] bool instrumented() const noexcept { return instrumented_; }
  [[nodiscard]] Arena* holder() const noexcept { return holder_; }

 private:
  friend class ArenaEntry;
  ArenaCore(const Policy& policy, const ArenaOptions& options, Place place);
  ~ArenaCore();

  [[nodiscard]] bool grows_by_blocks() const noexcept {
    return kind_ == ArenaKind::kChained || kind_ == ArenaKind::kChainedVirtual;
  }
  [[nodiscard]] bool is_virtual() const noexcept {
    return kind_ == ArenaKind::kVirtual || kind_ == ArenaKind::kChainedVirtual;
  }
  [[nodiscard]] bool open_first(const Policy& policy, Errc& why) noexcept;
  [[nodiscard]] ArenaBlock* acquire(std::size_t bytes, std::size_t alignment, Errc& why) noexcept;
  [[nodiscard]] ArenaBlock* reserve(std::size_t bytes, std::size_t minimum, Errc& why) noexcept;
  [[nodiscard]] ArenaBlock* next_block(std::size_t size, std::size_t alignment, Errc& why) noexcept;
  [[nodiscard]] ArenaBlock* take_spare(std::size_t size, std::size_t alignment) noexcept;
  /// Every source aligns as asked, up to a page.
  [[nodiscard]] std::size_t room_for(std::size_t size, std::size_t alignment) const noexcept {
    return alignment <= page_bytes_ ? size : size + alignment - 1;
  }
  [[nodiscard]] Errc commit(ArenaBlock& block, std::uintptr_t end) noexcept;
  [[nodiscard]] void* push_lone(ArenaBump& bump, std::size_t size, std::size_t alignment, bool zero,
                                Errc& why) noexcept;
  void* hand_out(std::uintptr_t start, std::size_t size, std::uintptr_t dirty,
                 bool zero) const noexcept;
  void enter(ArenaBump& bump, ArenaBlock* block) noexcept;
  void drop_current(ArenaBump& bump) noexcept;
  void retire(ArenaBlock* block) noexcept;
  void free_block(ArenaBlock* block) noexcept;
  void keep_at_most(std::size_t retain_bytes) noexcept;
  void run_destructors(std::uint64_t offset) noexcept;
  void take_back(std::uintptr_t from, std::uintptr_t to) const noexcept;
  [[nodiscard]] bool lone_on_top(const ArenaBump& bump) const noexcept {
    return lone_ != nullptr && lone_->pushed_in == current_ && lone_->end_offset() == used(bump);
  }
  [[nodiscard]] bool is_open_above(const ArenaBump& bump, std::uint64_t offset) const noexcept;
  [[nodiscard]] ArenaBump& registers(Arena& handle) noexcept;
  [[nodiscard]] bool take_record(ScopeRecord* record) noexcept;
  void end_early(ArenaBump& bump, const ArenaScope& scope) noexcept;
  [[nodiscard]] std::uint64_t barrier_before(const ArenaScope& scope) noexcept;

  ArenaOptions options_;
  std::string name_;
  ArenaKind kind_;
  Place made_at_;
  bool checks_;
  bool instrumented_;
  bool ends_with_children_ = false;
  std::size_t page_bytes_ = 0;
  std::size_t reserve_bytes_ = 0;
  std::size_t next_block_bytes_ = 0;
  std::unique_ptr<BlockSource> source_;
  ArenaBlock* current_ = nullptr;
  ArenaBlock* lone_ = nullptr;
  ArenaBlock* spare_ = nullptr;
  std::size_t spare_bytes_ = 0;
  DestructorNode* destructors_ = nullptr;
  ChildBlock* children_ = nullptr;
  ScopeRecord* records_ = nullptr;
  EarlyEnd* early_ends_ = nullptr;
  std::size_t committed_ = 0;
  std::size_t reserved_ = 0;
  std::uint64_t grown_bytes_ = 0;
  std::uint64_t stamp_ = 0;
  Arena* holder_ = nullptr;
  unsigned lease_depth_ = 0;
  ArenaBump shared_;
  std::mutex mutex_;
};

/// What a cold path may touch of a handle.
struct ArenaAccess {
  static ArenaCore* core(const Arena& arena) noexcept { return arena.core_; }
  static ArenaBump& bump(const Arena& arena) noexcept { return arena.bump_; }
  static void set(Arena& arena, ArenaCore* core) noexcept { arena.core_ = core; }
  static void set_released(Arena& arena, Place place) noexcept {
    arena.released_file_ = place.file;
    arena.released_line_ = place.line;
  }
  static Place released(const Arena& arena) noexcept {
    return {arena.released_file_, arena.released_line_};
  }
};

/// Names the calling thread, as scopes remember it.
[[nodiscard]] std::uintptr_t arena_thread() noexcept;

/// Records why this thread's arena call failed; returns it.
Errc set_arena_error(Errc why) noexcept;

/// One cold call on a handle: holds the mutex of a locked arena, and finds the registers. Without
/// them (no arena, or a scratch has it) the call must fail with why().
class ArenaEntry {
 public:
  ArenaEntry(const Arena& handle, const char* what, Place place) noexcept;
  /// To look only: any handle of the arena may, while a scratch has it too.
  explicit ArenaEntry(const Arena& handle) noexcept;
  ArenaEntry(const ArenaEntry&) = delete;
  ArenaEntry& operator=(const ArenaEntry&) = delete;
  ~ArenaEntry() {
    if (locked_) core_->mutex_.unlock();
  }

  explicit operator bool() const noexcept { return bump_ != nullptr; }
  [[nodiscard]] Errc why() const noexcept { return why_; }
  [[nodiscard]] ArenaCore* core() const noexcept { return core_; }
  [[nodiscard]] ArenaBump& bump() const noexcept { return *bump_; }

 private:
  void lock() noexcept;

  ArenaCore* core_;
  ArenaBump* bump_ = nullptr;
  Errc why_ = Errc::kOk;
  bool locked_ = false;
};

}  // namespace allot::detail
