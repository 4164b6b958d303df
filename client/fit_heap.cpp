#include <allot/fit_heap.hpp>

#include "client/arena_core.hpp"
#include "client/fit_core.hpp"

namespace allot {

using detail::FitCore;
using detail::set_arena_error;

namespace {

constexpr std::size_t kUnknownBytes = ~std::size_t{0};

}  // namespace

FitHeap FitHeap::over(std::span<std::byte> buffer) noexcept {
  FitHeap heap;
  Errc why = Errc::kOk;
  heap.core_ = FitCore::create(buffer.size(), {}, why);
  if (heap.core_ != nullptr) why = heap.core_->manage(buffer);
  if (why != Errc::kOk) {
    heap.release();
    set_arena_error(why);
  }
  return heap;
}

FitHeap FitHeap::over(Arena& arena, const FitHeapOptions& options) noexcept {
  FitHeap heap;
  Errc why = Errc::kOk;
  heap.core_ = FitCore::create(kUnknownBytes, options, why);
  if (heap.core_ != nullptr) why = heap.core_->grow_from(arena);
  if (why != Errc::kOk) {
    heap.release();
    set_arena_error(why);
  }
  return heap;
}

void* FitHeap::allocate(std::size_t size_bytes, std::size_t alignment) noexcept {
  Errc why = Errc::kClosed;
  if (core_ != nullptr) [[likely]] {
    void* const block = core_->allocate(size_bytes, alignment, why);
    if (block != nullptr) [[likely]]
      return block;
  }
  set_arena_error(why);
  return nullptr;
}

void* FitHeap::reallocate(void* block, std::size_t size_bytes, std::size_t alignment) noexcept {
  if (block == nullptr) return allocate(size_bytes, alignment);
  Errc why = Errc::kClosed;
  void* const now =
      core_ == nullptr ? nullptr : core_->reallocate(block, size_bytes, alignment, why);
  if (now == nullptr) set_arena_error(why);
  return now;
}

Errc FitHeap::free(void* block) noexcept {
  if (block == nullptr) return Errc::kOk;
  const Errc done = core_ == nullptr ? Errc::kClosed : core_->free(block);
  return done == Errc::kOk ? done : set_arena_error(done);
}

std::size_t FitHeap::size_of(const void* block) const noexcept {
  return core_ == nullptr ? 0 : core_->size_of(block);
}

Errc FitHeap::clear() noexcept {
  if (core_ == nullptr) return set_arena_error(Errc::kClosed);
  core_->clear();
  return Errc::kOk;
}

void FitHeap::release() noexcept {
  if (core_ != nullptr) FitCore::destroy(std::exchange(core_, nullptr));
}

std::size_t FitHeap::live_bytes() const noexcept {
  return core_ == nullptr ? 0 : core_->live_bytes();
}

std::size_t FitHeap::free_bytes() const noexcept {
  return core_ == nullptr ? 0 : core_->free_bytes();
}

std::size_t FitHeap::managed_bytes() const noexcept {
  return core_ == nullptr ? 0 : core_->managed_bytes();
}

std::size_t FitHeap::largest_free_bytes() const noexcept {
  return core_ == nullptr ? 0 : core_->largest_free_bytes();
}

std::size_t FitHeap::block_count() const noexcept {
  return core_ == nullptr ? 0 : core_->block_count();
}

bool FitHeap::check() const noexcept { return core_ == nullptr || core_->check(); }

}  // namespace allot
