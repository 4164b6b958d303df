// Pools of a session, and allocating and freeing by the batch.
//
// A pool is a bin number of the session; each heap opens it when it first allocates in it.

#include <allot/pool.hpp>

#include <algorithm>
#include <bit>

#include "client/session_call.hpp"
#include "client/session_state.hpp"

namespace allot {

namespace detail {

namespace {

Expected<PoolShape> shape_of(const BlockPoolOptions& options) {
  if (!protocol::is_valid_name(options.name, region::kPoolNameBytes)) {
    return Error(Errc::kBadName, "pool '" + options.name + "'");
  }
  if (options.block_bytes == 0) return Error(Errc::kSizeZero);
  if (!std::has_single_bit(options.alignment) || options.alignment > region::kMaxMediumBytes) {
    return Error(Errc::kBadAlignment, std::to_string(options.alignment) +
                                          " is not a power of two up to " +
                                          std::to_string(region::kMaxMediumBytes));
  }
  if (options.block_bytes > region::kMaxMediumBytes) {
    return Error(Errc::kSizeTooLarge, std::to_string(options.block_bytes) +
                                          " bytes wanted, a pool has blocks of up to " +
                                          std::to_string(region::kMaxMediumBytes));
  }
  const std::size_t unit = std::max<std::size_t>(options.alignment, region::kMinBlockBytes);
  PoolShape shape;
  options.name.copy(shape.name.data(), shape.name.size() - 1);
  shape.block_bytes = static_cast<std::uint32_t>((options.block_bytes + unit - 1) & ~(unit - 1));
  return shape;
}

}  // namespace

Expected<SessionState::OpenedPool> SessionState::open_pool(const BlockPoolOptions& options) {
  auto shape = shape_of(options);
  if (!shape) return shape.error();
  CallDeadline deadline(parts_.deadline);
  auto lock = lock_open(deadline);
  if (!lock) return lock.error();
  const auto found = std::find_if(pools_.begin(), pools_.end(),
                                  [&](const PoolShape& pool) { return pool.name == shape->name; });
  const auto bin = region::kFirstPoolBin + static_cast<std::uint32_t>(found - pools_.begin());
  if (found != pools_.end()) {
    if (found->block_bytes != shape->block_bytes) {
      return Error(Errc::kBadArgument, "pool '" + options.name + "' has blocks of " +
                                           std::to_string(found->block_bytes) + " bytes, not " +
                                           std::to_string(shape->block_bytes));
    }
    return OpenedPool{bin, shape->block_bytes};
  }
  if (pools_.size() == region::kPoolsPerSession) {
    return Error(Errc::kTooManyPools,
                 "a session has at most " + std::to_string(region::kPoolsPerSession));
  }
  pools_.push_back(*shape);
  // So that a pool is listed before it has a block.
  const std::lock_guard counting(counters_mutex_);
  session_heap_->publish_pool(bin, *shape);
  return OpenedPool{bin, shape->block_bytes};
}

void* SessionState::allocate_in_pool(std::uint32_t bin) noexcept {
  CallDeadline deadline(parts_.deadline);
  auto allocated = [&]() -> Expected<void*> {
    if (const Errc life = life_error(); life != Errc::kOk) return Error(life);
    return allocate_from_bin(bin, deadline);
  }();
  if (allocated && debug_ != nullptr) debug_allocated(*allocated);
  if (allocated) return *allocated;
  set_last_error(allocated.error());
  return nullptr;
}

// --- batches ---

Batch SessionState::allocate_n(std::uint32_t bin, std::span<void*> blocks) noexcept {
  CallDeadline deadline(parts_.deadline);
  std::size_t count = 0;
  Error error;
  while (count < blocks.size()) {
    const auto rest = blocks.subspan(count);
    const std::size_t popped = pop_several(*tls_heaps[slot_], bin, rest.data(), rest.size());
    count += popped;
    if (popped == rest.size()) break;
    const Errc life = life_error();
    auto block = life == Errc::kOk ? allocate_from_bin(bin, deadline) : Error(life);
    if (!block) {
      error = block.error();
      break;
    }
    if (debug_ != nullptr) debug_allocated(*block);
    blocks[count++] = *block;
  }
  return finish_batch(blocks, count, std::move(error));
}

Batch SessionState::allocate_n(std::size_t size_bytes, std::span<void*> blocks) noexcept {
  if (size_bytes - 1 < kMaxFastBytes) return allocate_n(region::bin_of(size_bytes), blocks);
  for (std::size_t count = 0; count < blocks.size(); ++count) {
    blocks[count] = allocate(size_bytes, 1);
    if (blocks[count] == nullptr) return finish_batch(blocks, count, Session::last_error());
  }
  return {blocks.size(), Errc::kOk};
}

Batch SessionState::finish_batch(std::span<void*> blocks, std::size_t count, Error error) noexcept {
  const Errc errc = count == blocks.size() ? Errc::kOk : error.errc();
  if (errc != Errc::kOk) set_last_error(std::move(error));
  std::fill(blocks.begin() + static_cast<std::ptrdiff_t>(count), blocks.end(), nullptr);
  return {count, errc};
}

}  // namespace detail

Expected<BlockPool> BlockPool::open(const Session& session, const BlockPoolOptions& options) {
  const auto opened = detail::SessionAccess::state(session).open_pool(options);
  if (!opened) return opened.error();
  return BlockPool(session, opened->bin, opened->block_bytes);
}

void* BlockPool::allocate_slowly() noexcept {
  return detail::SessionCall(detail::SessionAccess::state(session_))->allocate_in_pool(bin_);
}

Errc BlockPool::free_slowly(void* block) noexcept {
  return detail::SessionCall(detail::SessionAccess::state(session_))
      ->free_n({&block, 1}, bin_, block_bytes_)
      .errc;
}

Batch BlockPool::allocate_n(std::span<void*> blocks) noexcept {
  return detail::SessionCall(detail::SessionAccess::state(session_))->allocate_n(bin_, blocks);
}

Batch BlockPool::free_n(std::span<void* const> blocks) noexcept {
  return detail::SessionCall(detail::SessionAccess::state(session_))
      ->free_n(blocks, bin_, block_bytes_);
}

Batch Session::allocate_n(std::size_t size_bytes, std::span<void*> blocks) noexcept {
  return detail::SessionCall(*state_)->allocate_n(size_bytes, blocks);
}

Batch Session::free_n(std::span<void* const> blocks) noexcept {
  return detail::SessionCall(*state_)->free_n(blocks);
}

Batch Session::offer_n(std::span<const void* const> blocks, std::span<Handle> handles) noexcept {
  return detail::SessionCall(*state_)->offer_n(blocks, handles);
}

Batch Session::adopt_n(std::span<const Handle> handles, std::span<void*> blocks) noexcept {
  return detail::SessionCall(*state_)->adopt_n(handles, blocks);
}

}  // namespace allot
