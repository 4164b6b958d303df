// allot::new: the program's global operator new and delete, over the process's private heap.
//
// All forms in one file, so that a program that links it has all of them or none. As the standard
// asks: operator new calls the new handler and tries again until there is none, and then throws
// std::bad_alloc, or returns nullptr if it is nothrow; each call gives a block of its own, also for
// 0 bytes. What the private heap cannot give comes from malloc. A block that is freed twice, or that
// nobody gave out, ends the program.

#include <cstddef>
#include <new>

#include <allot/detail/local_heap.hpp>

namespace {

constexpr std::size_t kDefaultAlignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
static_assert(kDefaultAlignment == 16);

[[gnu::cold, gnu::noinline]] void* allocate_slowly(std::size_t size_bytes, std::size_t alignment) {
  for (;;) {
    if (void* const block = allot::detail::allocate_for_new(size_bytes, alignment)) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

[[gnu::cold, gnu::noinline]] void* try_allocate_slowly(std::size_t size_bytes,
                                                       std::size_t alignment) noexcept {
  try {
    return allocate_slowly(size_bytes, alignment);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// nullptr if this thread's private stacks have no block of that size. 0 bytes are for the slow path.
[[gnu::always_inline]] inline void* pop(std::size_t size_bytes) noexcept {
  void* block = nullptr;
  if (!allot::detail::try_pop_bytes(*allot::detail::tls_new_heap, size_bytes, block)) [[unlikely]] {
    return nullptr;
  }
  return block;
}

[[gnu::always_inline]] inline void* allocate(std::size_t size_bytes) {
  void* const block = pop(size_bytes);
  if (block != nullptr) [[likely]]
    return block;
  return allocate_slowly(size_bytes, kDefaultAlignment);
}

[[gnu::always_inline]] inline void* try_allocate(std::size_t size_bytes) noexcept {
  void* const block = pop(size_bytes);
  if (block != nullptr) [[likely]]
    return block;
  return try_allocate_slowly(size_bytes, kDefaultAlignment);
}

[[gnu::always_inline]] inline void free_block(void* block) noexcept {
  if (allot::detail::try_push(*allot::detail::tls_new_heap, block)) [[likely]]
    return;
  allot::detail::free_for_delete(block);
}

std::size_t at_least_default(std::align_val_t alignment) noexcept {
  const auto wanted = static_cast<std::size_t>(alignment);
  return wanted < kDefaultAlignment ? kDefaultAlignment : wanted;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void* operator new(std::size_t size, const std::nothrow_t& /*nothrow*/) noexcept {
  return try_allocate(size);
}
void* operator new[](std::size_t size, const std::nothrow_t& /*nothrow*/) noexcept {
  return try_allocate(size);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate_slowly(size, at_least_default(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return allocate_slowly(size, at_least_default(alignment));
}
void* operator new(std::size_t size, std::align_val_t alignment,
                   const std::nothrow_t& /*nothrow*/) noexcept {
  return try_allocate_slowly(size, at_least_default(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment,
                     const std::nothrow_t& /*nothrow*/) noexcept {
  return try_allocate_slowly(size, at_least_default(alignment));
}

// The size of a block follows from its address, as does its alignment.
void operator delete(void* block) noexcept { free_block(block); }
void operator delete[](void* block) noexcept { free_block(block); }
void operator delete(void* block, std::size_t /*size*/) noexcept { free_block(block); }
void operator delete[](void* block, std::size_t /*size*/) noexcept { free_block(block); }
void operator delete(void* block, const std::nothrow_t& /*nothrow*/) noexcept { free_block(block); }
void operator delete[](void* block, const std::nothrow_t& /*nothrow*/) noexcept {
  free_block(block);
}
void operator delete(void* block, std::align_val_t /*alignment*/) noexcept { free_block(block); }
void operator delete[](void* block, std::align_val_t /*alignment*/) noexcept { free_block(block); }
void operator delete(void* block, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  free_block(block);
}
void operator delete[](void* block, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  free_block(block);
}
void operator delete(void* block, std::align_val_t /*alignment*/,
                     const std::nothrow_t& /*nothrow*/) noexcept {
  free_block(block);
}
void operator delete[](void* block, std::align_val_t /*alignment*/,
                       const std::nothrow_t& /*nothrow*/) noexcept {
  free_block(block);
}
