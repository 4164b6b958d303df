// Where a FitHeap's memory comes from and goes to: its own pages, a buffer, pieces of an arena.

#include <algorithm>
#include <new>
#include <utility>

#include "client/arena_core.hpp"
#include "client/fit_core.hpp"
#include "shared/platform/page_size.hpp"

namespace allot::detail {

namespace {

// For as many extents there is address space, 16 GiB of it.
constexpr std::size_t kMostExtents = std::size_t{1} << 28;
constexpr std::size_t kLeastExtents = 1024;
constexpr std::size_t kMaxGrowBytes = std::size_t{1} << 40;

std::size_t firsts_offset() noexcept { return platform::round_up_to_page(sizeof(FitCore)); }
std::size_t extents_offset() noexcept {
  return firsts_offset() + platform::round_up_to_page(FitTree::kFirstsBytes);
}

}  // namespace

FitCore::FitCore(GuardedPages pages, const FitHeapOptions& options) noexcept
    : pages_(std::move(pages)),
      extents_(pages_, extents_offset()),
      index_(extents_),
      tree_(reinterpret_cast<FitExtent**>(pages_.base() + firsts_offset())),
      step_bytes_(options.grow_bytes & ~(kUnitBytes - 1)),
      max_step_bytes_(options.max_grow_bytes & ~(kUnitBytes - 1)) {}

FitCore::~FitCore() {
  // The youngest first: the arena pops each.
  for (; pieces_ != nullptr; pieces_ = pieces_->older) source_->give_back(pieces_->extent);
}

FitCore* FitCore::create(std::size_t most_bytes, const FitHeapOptions& options,
                         Errc& why) noexcept {
  if (options.grow_bytes < kUnitBytes || options.grow_bytes > kMaxGrowBytes ||
      options.max_grow_bytes > kMaxGrowBytes) {
    why = Errc::kBadArgument;
    return nullptr;
  }
  const std::size_t extents = std::min(most_bytes / kUnitBytes + kLeastExtents, kMostExtents);
  const std::size_t offset = extents_offset();
  GuardedPages pages(offset + extents * sizeof(FitExtent),
                     offset + kLeastExtents * sizeof(FitExtent));
  if (!pages) {
    why = Errc::kAddressSpace;
    return nullptr;
  }
  if (!pages.commit(offset)) {
    why = Errc::kMachineFull;
    return nullptr;
  }
  std::byte* const place = pages.base();
  return ::new (static_cast<void*>(place)) FitCore(std::move(pages), options);
}

void FitCore::destroy(FitCore* core) noexcept {
  // It lies in the pages that it holds.
  const GuardedPages pages = std::move(core->pages_);
  core->~FitCore();
}

Errc FitCore::manage(std::span<std::byte> buffer) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
  const std::uintptr_t begin = (address + kUnitBytes - 1) & ~(kUnitBytes - 1);
  const std::uintptr_t end = (address + buffer.size()) & ~(kUnitBytes - 1);
  if (begin >= end) return Errc::kBadArgument;
  if (!extents_.reserve(1)) return Errc::kMachineFull;
  add_memory(begin, end - begin);
  return Errc::kOk;
}

Errc FitCore::grow_from(Arena& arena) noexcept {
  ArenaOptions options;
  options.source = arena;
  Errc why = Errc::kOk;
  try {
    source_ = make_source(options, false, why);
  } catch (const std::bad_alloc&) {
    why = Errc::kMachineFull;
  }
  return why;
}

FitExtent& FitCore::add_memory(std::uintptr_t begin, std::size_t bytes) noexcept {
  FitExtent* const added = extents_.take();
  added->begin = begin;
  added->bytes = bytes;
  managed_bytes_ += bytes;
  free_bytes_ += bytes;
  if (highest_ == nullptr) {
    lowest_ = highest_ = added;
  } else if (highest_->end() != begin && added->end() == lowest_->begin) {
    // Pages are mapped from the top down.
    added->above = lowest_;
    lowest_->below = added;
    lowest_ = added;
  } else {
    link_above(*highest_, *added);
  }
  return make_free(*added);
}

FitExtent* FitCore::take_piece(std::size_t bytes, Errc& why) noexcept {
  const Extent got = source_->acquire(bytes, kUnitBytes, why);
  if (got.base == nullptr) return nullptr;
  pieces_ = ::new (static_cast<void*>(extents_.take())) Piece{got, pieces_};
  ++piece_count_;
  step_bytes_ = std::max(step_bytes_, std::min(2 * step_bytes_, max_step_bytes_));
  return &add_memory(reinterpret_cast<std::uintptr_t>(got.base), bytes);
}

FitExtent* FitCore::grow_by(std::size_t least, Errc& why) noexcept {
  why = Errc::kArenaFull;
  if (source_ == nullptr) return nullptr;
  FitExtent* const found = take_piece(std::max(least, step_bytes_), why);
  // Less may still be there.
  return found == nullptr && least < step_bytes_ ? take_piece(least, why) : found;
}

FitExtent* FitCore::grow_at_top(std::size_t least) noexcept {
  if (source_ == nullptr) return nullptr;
  const std::uintptr_t end = highest_->end();
  Errc why = Errc::kOk;
  FitExtent* found = nullptr;
  for (const std::size_t bytes : {std::max(least, step_bytes_), least}) {
    if (found == nullptr && source_->continues_at(end, bytes)) found = take_piece(bytes, why);
  }
  return found;
}

FitExtent* FitCore::grow(std::size_t bytes, std::size_t alignment, Errc& why) noexcept {
  // So much fits wherever it comes to lie.
  const std::size_t whole = bytes + alignment - kUnitBytes;
  if (highest_ != nullptr && !highest_->live) {
    const std::uintptr_t end = ((highest_->begin + alignment - 1) & ~(alignment - 1)) + bytes;
    if (end <= highest_->end()) return highest_;
    // Less is missing where the arena goes on, unless another thread pushes there first.
    FitExtent* const found = grow_at_top(end - highest_->end());
    if (found != nullptr && end <= found->end() && found->begin < end) return found;
  }
  return grow_by(whole, why);
}

void FitCore::clear() noexcept {
  tree_.clear();
  index_.clear();
  for (FitExtent* extent = lowest_; extent != nullptr; extent = extent->above) {
    extent->live = false;
    while (FitExtent* const above = extent->touching_above()) {
      extent->bytes += above->bytes;
      unlink(*above);
    }
    tree_.insert(*extent);
  }
  free_bytes_ = managed_bytes_;
  live_bytes_ = 0;
}

}  // namespace allot::detail
