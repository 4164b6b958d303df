// How an arena goes back: pop across blocks, clear, and what is kept or given back.

#include <algorithm>

#include "client/arena_core.hpp"
#include "client/arena_poison.hpp"

namespace allot::detail {

namespace {

void* pointer(std::uintptr_t address) noexcept {
  return reinterpret_cast<void*>(address);  // NOLINT(performance-no-int-to-ptr): a bump cursor
}

}  // namespace

bool ArenaCore::is_open_above(const ArenaBump& bump, std::uint64_t offset) const noexcept {
  if (bump.barrier != 0 && offset < bump.barrier - 1) return true;
  // The youngest reaches furthest.
  return children_ != nullptr && offset < children_->end_offset;
}

void ArenaCore::run_destructors(std::uint64_t offset) noexcept {
  while (destructors_ != nullptr && destructors_->end_offset > offset) {
    const DestructorNode* const node = destructors_;
    destructors_ = node->older;
    node->destroy(node->objects, node->count);
  }
}

void ArenaCore::take_back(std::uintptr_t from, std::uintptr_t to) const noexcept {
  if (!checks_) return;
  unpoison(from, to);
  fill(from, to, kPoppedFill);
  poison(from, to);
}

Errc ArenaCore::unwind(ArenaBump& bump, std::uint64_t offset) noexcept {
  if (offset > used(bump)) return Errc::kMarkAhead;
  if (is_open_above(bump, offset)) return Errc::kScopeOpen;
  run_destructors(offset);
  for (;;) {
    const bool has_lone = lone_ != nullptr && lone_->pushed_in == current_;
    if (current_->older != nullptr && bump.cursor == current_->begin && !has_lone) {
      drop_current(bump);
      continue;
    }
    if (used(bump) == offset) break;
    if (lone_on_top(bump)) {
      const std::uint64_t first = std::max(offset, lone_->first_offset());
      const std::size_t taken = used(bump) - first;
      take_back(lone_->cursor - taken, lone_->cursor);
      lone_->dirty = std::max(lone_->dirty, lone_->cursor);
      lone_->cursor -= taken;
      bump.origin += taken;
      if (first == lone_->first_offset()) retire(std::exchange(lone_, lone_->older));
      continue;
    }
    const std::uint64_t least = has_lone ? lone_->end_offset() : current_->begin - bump.origin;
    const std::uintptr_t target = bump.origin + std::max(offset, least);
    take_back(target, bump.cursor);
    bump.dirty = std::max(bump.dirty, bump.cursor);
    bump.cursor = target;
  }
  reset_floor(bump);
  report(bump);
  return Errc::kOk;
}

void ArenaCore::drop_current(ArenaBump& bump) noexcept {
  ArenaBlock* const block = std::exchange(current_, current_->older);
  block->dirty = bump.dirty;
  retire(block);
  bump.cursor = current_->cursor;
  bump.origin = current_->origin;
  bump.dirty = current_->dirty;
  bump.limit = current_->usable_end();
}

void ArenaCore::reset_floor(ArenaBump& bump) noexcept {
  bump.floor = kNoFloor;
  if (destructors_ != nullptr || lone_ != nullptr || children_ != nullptr) return;
  const std::uintptr_t begin = current_->begin + (current_->older != nullptr ? 1 : 0);
  bump.floor = begin;
  // A scope that began in this block.
  if (bump.barrier != 0 && bump.barrier - 1 >= current_->begin - bump.origin) {
    bump.floor = std::max(begin, bump.origin + bump.barrier - 1);
  }
}

Errc ArenaCore::pop_last(ArenaBump& bump, std::uintptr_t address, std::size_t size) noexcept {
  size = std::max<std::size_t>(size, 1);
  const ArenaBlock* const lone = lone_on_top(bump) ? lone_ : nullptr;
  const std::uintptr_t begin = lone != nullptr ? lone->begin : current_->begin;
  const std::uintptr_t cursor = lone != nullptr ? lone->cursor : bump.cursor;
  if (address < begin || address > cursor || cursor - address != size) return Errc::kNotLast;
  return unwind(bump, used(bump) - size);
}

Errc ArenaCore::clear(ArenaBump& bump, std::size_t retain_bytes) noexcept {
  if (bump.barrier != 0 || children_ != nullptr) return Errc::kScopeOpen;
  const std::size_t keep = std::exchange(options_.retain_bytes, retain_bytes);
  keep_at_most(retain_bytes);
  const Errc done = unwind(bump, 0);
  options_.retain_bytes = keep;
  // 2^32 clears later a mark of the first generation would be taken for a new one.
  stamp_ = (stamp_ & ~std::uint64_t{0xFFFF'FFFF}) | ((stamp_ + 1) & 0xFFFF'FFFF);
  bump.stamp = stamp_;
  return done;
}

void ArenaCore::retire(ArenaBlock* block) noexcept {
  block->cursor = block->origin = 0;
  block->pushed_in = nullptr;
  block->older = spare_;
  spare_ = block;
  spare_bytes_ += block->charged_bytes;
  keep_at_most(options_.retain_bytes);
}

void ArenaCore::keep_at_most(std::size_t retain_bytes) noexcept {
  while (spare_ != nullptr && (spare_bytes_ > retain_bytes || retain_bytes == 0)) {
    ArenaBlock* const block = std::exchange(spare_, spare_->older);
    spare_bytes_ -= block->charged_bytes;
    free_block(block);
  }
}

void ArenaCore::free_block(ArenaBlock* block) noexcept {
  // Poison belongs to the addresses, and would outlive the mapping.
  if (checks_) unpoison(block->begin, block->committed);
  committed_ -= block->charged_bytes;
  reserved_ -= block->extent.bytes;
  if (block->extent.base != nullptr) source_->give_back(block->extent);
  delete block;
}

std::size_t ArenaCore::shrink(ArenaBump& bump) noexcept {
  const std::size_t before = committed_;
  keep_at_most(0);
  if (is_virtual()) {
    current_->cursor = bump.cursor;
    current_->dirty = std::max(bump.dirty, bump.cursor);
    for (ArenaBlock* block = current_; block != nullptr; block = block->older) {
      const std::uintptr_t keep_end =
          block->begin + ((block->cursor - block->begin + page_bytes_ - 1) & ~(page_bytes_ - 1));
      if (keep_end >= block->committed) continue;
      const std::size_t bytes = block->committed - keep_end;
      if (checks_) unpoison(keep_end, block->committed);
      const std::size_t taken =
          source_->decommit(static_cast<std::byte*>(pointer(keep_end)), bytes);
      block->committed -= taken;
      if (checks_) poison(keep_end, block->committed);
      block->dirty = std::min(block->dirty, block->committed);
      block->charged_bytes -= taken;
      if (taken > 0) block->commit_step = options_.commit_bytes;
      committed_ -= taken;
    }
    bump.dirty = current_->dirty;
    bump.limit = current_->usable_end();
  }
  report(bump);
  return before - committed_;
}

bool ArenaCore::contains(const ArenaBump& bump, std::uintptr_t address) const noexcept {
  if (address >= current_->begin && address < bump.cursor) return true;
  const auto holds = [address](const ArenaBlock* block) {
    for (; block != nullptr; block = block->older) {
      if (address >= block->begin && address < block->cursor) return true;
    }
    return false;
  };
  return holds(current_->older) || holds(lone_);
}

}  // namespace allot::detail
