// What a push does that the inlined path could not: commit, another block, a block of its own.

#include <algorithm>
#include <new>

#include "client/arena_core.hpp"
#include "client/arena_poison.hpp"

namespace allot::detail {

namespace {

void* pointer(std::uintptr_t address) noexcept {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): a bump cursor
}

constexpr std::uintptr_t align_up(std::uintptr_t value, std::size_t alignment) noexcept {
  return (value + alignment - 1) & ~(alignment - 1);
}

}  // namespace

void* ArenaCore::push(ArenaBump& bump, std::size_t size, std::size_t alignment, bool zero,
                      Errc& why) noexcept {
  if (!is_alignment(alignment) || alignment > kMaxArenaBytes) {
    why = Errc::kBadAlignment;
    return nullptr;
  }
  if (size > kMaxArenaBytes) {
    why = Errc::kSizeTooLarge;
    return nullptr;
  }
  size = std::max<std::size_t>(size, 1);
  std::uintptr_t start = align_up(bump.cursor, alignment);
  const bool fits = start + size <= current_->usable_end();
  if (start + size > current_->end) {
    if (!grows_by_blocks()) {
      why = Errc::kArenaFull;
      return nullptr;
    }
    const std::size_t need = room_for(size, alignment);
    const std::size_t block_bytes = is_virtual() ? reserve_bytes_ : next_block_bytes_;
    if (need > block_bytes) return push_lone(bump, size, alignment, zero, why);
    ArenaBlock* const block = next_block(size, alignment, why);
    if (block == nullptr) return nullptr;
    start = align_up(block->begin, alignment);
    if (why = commit(*block, start + size); why != Errc::kOk) {
      retire(block);
      return nullptr;
    }
    enter(bump, block);
  } else if (why = commit(*current_, start + size); why != Errc::kOk) {
    return nullptr;
  }
  bump.limit = current_->usable_end();
  bump.cursor = start + size;
  if (!fits) report(bump);
  return hand_out(start, size, bump.dirty, zero);
}

void* ArenaCore::hand_out(std::uintptr_t start, std::size_t size, std::uintptr_t dirty,
                          bool zero) const noexcept {
  if (checks_) unpoison(start, start + size);
  if (zero) {
    fill(start, std::min(start + size, dirty), 0);
  } else if (checks_) {
    fill(start, start + size, kFreshFill);
  }
  return pointer(start);
}

void* ArenaCore::push_lone(ArenaBump& bump, std::size_t size, std::size_t alignment, bool zero,
                           Errc& why) noexcept {
  ArenaBlock* const block = acquire(room_for(size, alignment), alignment, why);
  if (block == nullptr) return nullptr;
  if (checks_) poison(block->begin, block->committed);
  const std::uintptr_t start = align_up(block->begin, alignment);
  // On the line of offsets it lies at the position; padding in front of it is part of it.
  block->origin = block->begin - used(bump);
  block->cursor = start + size;
  block->pushed_in = current_;
  block->older = lone_;
  lone_ = block;
  bump.origin -= block->cursor - block->begin;
  bump.floor = kNoFloor;
  report(bump);
  return hand_out(start, size, block->dirty, zero);
}

std::size_t ArenaCore::align(ArenaBump& bump, std::size_t alignment, Errc& why) noexcept {
  if (!is_alignment(alignment) || alignment > kMaxArenaBytes) {
    why = Errc::kBadAlignment;
    return Arena::kFailed;
  }
  const std::size_t padding = align_up(bump.cursor, alignment) - bump.cursor;
  if (padding == 0) return 0;
  const std::uint64_t before = used(bump);
  if (current_->end - bump.cursor >= padding) {
    if (push(bump, padding, 1, false, why) == nullptr) return Arena::kFailed;
  } else if (push(bump, alignment, alignment, false, why) == nullptr || bump.floor == kNoFloor) {
    // A block of its own would leave the position where it was.
    if (used(bump) != before) (void)unwind(bump, before);
    why = why == Errc::kOk ? Errc::kArenaFull : why;
    return Arena::kFailed;
  }
  return used(bump) - before;
}

ArenaBlock* ArenaCore::next_block(std::size_t size, std::size_t alignment, Errc& why) noexcept {
  if (ArenaBlock* const spare = take_spare(size, alignment); spare != nullptr) return spare;
  const std::size_t need = room_for(size, alignment);
  if (is_virtual()) return reserve(reserve_bytes_, need, why);
  ArenaBlock* block = acquire(next_block_bytes_, alignment, why);
  if (block == nullptr) {
    // Less may still be there.
    block = acquire(need, alignment, why);
  }
  if (block == nullptr) return nullptr;
  if (checks_) poison(block->begin, block->committed);
  next_block_bytes_ =
      std::max(next_block_bytes_, std::min(next_block_bytes_ * 2, options_.max_block_bytes));
  return block;
}

ArenaBlock* ArenaCore::take_spare(std::size_t size, std::size_t alignment) noexcept {
  for (ArenaBlock** link = &spare_; *link != nullptr; link = &(*link)->older) {
    ArenaBlock* const block = *link;
    const std::uintptr_t start = align_up(block->begin, alignment);
    if (start > block->end || block->end - start < size) continue;
    *link = block->older;
    spare_bytes_ -= block->charged_bytes;
    return block;
  }
  return nullptr;
}

ArenaBlock* ArenaCore::acquire(std::size_t bytes, std::size_t alignment, Errc& why) noexcept {
  const auto room = [&](std::size_t committed) {
    return options_.limit_bytes - std::min(committed, options_.limit_bytes);
  };
  if (bytes > room(committed_ - spare_bytes_)) {
    why = Errc::kArenaFull;
    return nullptr;
  }
  if (bytes > room(committed_)) keep_at_most(0);
  auto* const block = new (std::nothrow) ArenaBlock();
  if (block == nullptr) {
    why = Errc::kMachineFull;
    return nullptr;
  }
  block->extent = source_->acquire(bytes, std::max(alignment, kDefaultArenaAlignment), why);
  if (block->extent.base == nullptr) {
    delete block;
    return nullptr;
  }
  block->begin = reinterpret_cast<std::uintptr_t>(block->extent.base);
  block->end = block->committed = block->begin + block->extent.bytes;
  block->dirty = block->extent.zeroed ? block->begin : block->end;
  block->charged_bytes = block->extent.bytes;
  committed_ += block->extent.bytes;
  grown_bytes_ += block->extent.bytes;
  reserved_ += block->extent.bytes;
  return block;
}

ArenaBlock* ArenaCore::reserve(std::size_t bytes, std::size_t minimum, Errc& why) noexcept {
  auto* const block = new (std::nothrow) ArenaBlock();
  if (block == nullptr) {
    why = Errc::kMachineFull;
    return nullptr;
  }
  block->extent = source_->reserve(bytes, minimum, why);
  if (block->extent.base == nullptr) {
    delete block;
    return nullptr;
  }
  block->begin = reinterpret_cast<std::uintptr_t>(block->extent.base);
  // What was asked for, not what it was rounded to, unless that is all there was.
  block->end = block->begin + std::min(block->extent.bytes, std::max(bytes, minimum));
  block->committed = block->dirty = block->begin;
  block->commit_step = options_.commit_bytes;
  reserved_ += block->extent.bytes;
  return block;
}

Errc ArenaCore::commit(ArenaBlock& block, std::uintptr_t end) noexcept {
  if (end <= block.committed) return Errc::kOk;
  const std::uintptr_t mapped_end = block.begin + block.extent.bytes;
  const std::size_t room = options_.limit_bytes - std::min(committed_, options_.limit_bytes);
  const std::size_t least = align_up(end - block.committed, page_bytes_);
  std::size_t step = std::max(least, align_up(block.commit_step, page_bytes_));
  step = std::min<std::size_t>(step, mapped_end - block.committed);
  if (step > room) step = least;
  if (step > room) return Errc::kArenaFull;
  auto* const base = static_cast<std::byte*>(pointer(block.committed));
  // The first step is used whole too seldom to be filled in advance; a large push maybe never.
  const bool populate = block.committed != block.begin && step <= options_.max_commit_bytes;
  Errc done = source_->commit(base, step, populate);
  // Less may still be there; a daemon that does not answer would not answer that either.
  if (done != Errc::kOk && done != Errc::kDeadline && step > least) {
    step = least;
    done = source_->commit(base, step, false);
  }
  if (done != Errc::kOk) return done;
  if (checks_) poison(block.committed, block.committed + step);
  block.committed += step;
  block.charged_bytes += step;
  committed_ += step;
  grown_bytes_ += step;
  block.commit_step =
      std::max(block.commit_step, std::min(block.commit_step * 2, options_.max_commit_bytes));
  return Errc::kOk;
}

void ArenaCore::enter(ArenaBump& bump, ArenaBlock* block) noexcept {
  current_->cursor = bump.cursor;
  current_->origin = bump.origin;
  current_->dirty = std::max(bump.dirty, bump.cursor);
  block->older = current_;
  bump.origin = block->begin - used(bump);
  bump.cursor = block->begin;
  bump.dirty = block->dirty;
  bump.limit = block->usable_end();
  current_ = block;
  // Not the address of begin: that may be where the older block ends (B4).
  bump.floor = block->begin + 1;
}

bool ArenaCore::continues_at(std::uintptr_t end, std::size_t bytes) noexcept {
  const ArenaEntry entry(*holder_);
  return entry.bump().cursor == end && bytes <= current_->end - end;
}

Extent ArenaCore::push_for_child(std::size_t bytes, std::size_t alignment, const ChildPlace& child,
                                 Errc& why) noexcept {
  const ArenaEntry entry(*holder_, "a child arena grows", made_at_);
  if (!entry || lease_depth_ != child.lease_depth) {
    if (checks_) fault("a child arena grows while a younger scratch has its parent", made_at_);
    why = Errc::kScopeOpen;
    return {};
  }
  if (entry.bump().barrier > child.scope) {
    why = Errc::kScopeOpen;
    return {};
  }
  auto* const block = new (std::nothrow) ChildBlock();
  if (block == nullptr) {
    why = Errc::kMachineFull;
    return {};
  }
  const std::uint64_t grown = grown_bytes_;
  void* const got = push(entry.bump(), bytes, alignment, false, why);
  tell_growth(entry.bump(), grown, got, made_at_);
  if (got == nullptr) {
    delete block;
    return {};
  }
  block->end_offset = used(entry.bump());
  block->older = children_;
  if (children_ != nullptr) children_->younger = block;
  children_ = block;
  entry.bump().floor = kNoFloor;
  return {static_cast<std::byte*>(got), bytes, false, block};
}

void ArenaCore::end_child_block(ArenaCore* core, const Extent& extent) noexcept {
  bool last = false;
  {
    const std::unique_lock lock(core->mutex_);
    auto* const child = static_cast<ChildBlock*>(extent.token);
    if (child->older != nullptr) child->older->younger = child->younger;
    (child->younger != nullptr ? child->younger->older : core->children_) = child->older;
    delete child;
    last = core->ends_with_children_ && core->children_ == nullptr;
    if (!core->ends_with_children_) {
      ArenaBump& bump = core->registers(*core->holder_);
      // Not the last push: it goes when the parent is popped that far.
      (void)core->pop_last(bump, reinterpret_cast<std::uintptr_t>(extent.base), extent.bytes);
    }
  }
  if (last) delete core;
}

void ArenaCore::adopt(ArenaBump& bump, DestructorNode* node) noexcept {
  node->older = destructors_;
  node->end_offset = used(bump);
  destructors_ = node;
  bump.floor = kNoFloor;
}

}  // namespace allot::detail
