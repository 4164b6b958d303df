// The process's private heap: made once, and what operator new and delete do with it.

#include <allot/local.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include <allot/detail/local_heap.hpp>

#include "client/library_scope.hpp"
#include "client/local_service.hpp"
#include "client/process.hpp"
#include "client/session_state.hpp"

namespace allot {

namespace {

using detail::SessionAccess;
using detail::SessionState;

constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 30;
constexpr std::uint64_t kLeastBytes = std::uint64_t{16} << 20;
// Blocks have this part of a limited address space: own words take a quarter as much, and the rest
// is the program's.
constexpr std::uint64_t kPartOfLimit = 4;

struct LocalHeap {
  Session session;
  std::shared_ptr<LocalService> service;
  std::uintptr_t first_address = 0;
  std::uint64_t reserved_bytes = 0;  // 0: there is no heap, and the session is closed
};

// Made once and never destroyed. As an integer, for want of an atomic pointer.
constinit detail::Atomic<std::uintptr_t> made{};
alignas(LocalHeap) std::array<std::byte, sizeof(LocalHeap)> storage;

LocalHeap* made_heap() noexcept {
  // A29 pairs with R29 in make_heap(): the heap is complete before it is seen.
  return reinterpret_cast<LocalHeap*>(made.load_acquire());  // NOLINT(performance-no-int-to-ptr)
}

std::uint64_t wanted_bytes() noexcept {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kMostBytes;
  return std::clamp(std::bit_floor(limit.rlim_cur / kPartOfLimit), kLeastBytes, kMostBytes);
}

Expected<LocalHeap> open_heap(std::uint64_t size_bytes) {
  auto service = LocalService::make(size_bytes);
  if (!service) return service.error();
  auto parts = LocalService::connect(*service);
  if (!parts) return parts.error();
  auto state = SessionState::open(std::move(*parts));
  if (!state) return state.error();
  process::add_local(state->get());
  const auto address = reinterpret_cast<std::uintptr_t>((*service)->data());
  const std::uint64_t reserved_bytes = (*service)->reserved_bytes();
  return LocalHeap{SessionAccess::wrap(std::move(*state)), std::move(*service), address,
                   reserved_bytes};
}

LocalHeap open_heap_or_none() {
  auto heap = open_heap(wanted_bytes());
  if (heap) return std::move(*heap);
  detail::set_last_error(heap.error());
  return {SessionAccess::wrap(SessionState::make_closed()), nullptr, 0, 0};
}

void make_heap() {
  if (made_heap() != nullptr) return;
  auto* const heap = new (storage.data()) LocalHeap(open_heap_or_none());
  // R29 pairs with A29 in made_heap(): the heap is complete before it is seen.
  made.store_release(reinterpret_cast<std::uintptr_t>(heap));
}

LocalHeap& heap_of_process() noexcept {
  if (LocalHeap* const heap = made_heap(); heap != nullptr) return *heap;
  process::make_local(make_heap);
  return *made_heap();
}

// Of what lies outside, free() of the C library is the judge.
bool is_in_heap(const void* block) noexcept {
  const LocalHeap* const heap = made_heap();
  return heap != nullptr &&
         reinterpret_cast<std::uintptr_t>(block) - heap->first_address < heap->reserved_bytes;
}

[[noreturn]] void end_program(const Error& error) noexcept {
  const std::string line = "allot: operator delete: " + error.message() + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  std::abort();
}

}  // namespace

Session& local() noexcept { return heap_of_process().session; }

LocalService* local_service() noexcept {
  const LocalHeap* const heap = made_heap();
  return heap != nullptr ? heap->service.get() : nullptr;
}

namespace detail {

void* allocate_for_new(std::size_t size_bytes, std::size_t alignment) noexcept {
  const std::size_t size = std::max<std::size_t>(size_bytes, 1);
  if (!LibraryScope::is_inside()) {
    const LibraryScope inside;
    if (void* const block = local().allocate_aligned(size, alignment); block != nullptr) {
      return block;
    }
  }
  // For those who are the heap, memory is managed by hand.
  // NOLINTNEXTLINE(cppcoreguidelines-no-malloc)
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size);
  void* block = nullptr;
  return ::posix_memalign(&block, alignment, size) == 0 ? block : nullptr;
}

void free_for_delete(void* block) noexcept {
  if (block == nullptr) return;
  if (!is_in_heap(block)) {
    std::free(block);  // NOLINT(cppcoreguidelines-no-malloc): as above
  } else if (LibraryScope::is_inside()) {
    LibraryScope::free_later(block);
  } else {
    const LibraryScope inside;
    free_local(block);
  }
}

void free_local(void* block) noexcept {
  const Errc errc = local().free(block);
  if (errc != Errc::kOk) end_program(Error(errc));
}

}  // namespace detail
}  // namespace allot
