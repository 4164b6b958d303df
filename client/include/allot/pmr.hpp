// Standard containers on arenas: a std::pmr::memory_resource over an arena, over a scratch and over
// a FitHeap, and an STL allocator.
//
// These throw std::bad_alloc where the arena has no room. Deallocating gives memory back only if it
// was the last push; to a FitHeap, always. A container must end before its arena is popped below
// it, cleared or released. std::pmr containers hold absolute pointers: for one process. As
// thread-safe as the arena or the heap.
#pragma once

#include <memory_resource>
#include <new>

#include <allot/fit_heap.hpp>
#include <allot/scratch.hpp>

namespace allot {

/// Allocates from `arena`, which must outlive it. Equal to another one over the same arena.
class PmrResource : public std::pmr::memory_resource {
 public:
  explicit PmrResource(Arena& arena) noexcept : arena_(&arena) {}
  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

 protected:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const block = arena_->push(bytes, alignment);
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t /*alignment*/) override {
    // Not the last push: it goes when the arena is popped that far.
    (void)arena_->pop_last(block, bytes);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    const auto* const same = dynamic_cast<const PmrResource*>(&other);
    return same != nullptr && (same->arena_ == arena_ || same->arena_->same_arena(*arena_));
  }

 private:
  Arena* arena_;
};

/// A scratch of the calling thread that is none of `conflicts`, as a memory_resource: what was
/// allocated is gone at its end. Every allocation throws if there was none to lend.
class ScratchResource : private Scratch, public PmrResource {
 public:
  /// Opens the scratch; it ends with the resource.
  explicit ScratchResource(std::initializer_list<const Arena*> conflicts = {},
                           Place place = Place::here()) noexcept
      : Scratch(std::span<const Arena* const>(conflicts.begin(), conflicts.size()), place),
        PmrResource(Scratch::arena()) {}
  using PmrResource::arena;
};

/// Allocates from `heap`, which must outlive it and stay where it is. Equal to another one over it.
class FitResource : public std::pmr::memory_resource {
 public:
  explicit FitResource(FitHeap& heap) noexcept : heap_(&heap) {}
  [[nodiscard]] FitHeap& heap() const noexcept { return *heap_; }

 protected:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const block = heap_->allocate(bytes, alignment);
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }
  void do_deallocate(void* block, std::size_t /*bytes*/, std::size_t /*alignment*/) override {
    // A block that is not the heap's stays: there is nobody to tell.
    (void)heap_->free(block);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    const auto* const same = dynamic_cast<const FitResource*>(&other);
    return same != nullptr && same->heap_ == heap_;
  }

 private:
  FitHeap* heap_;
};

/// For containers that take an allocator type: std::vector<T, ArenaAllocator<T>>.
template <class T>
class ArenaAllocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::true_type;
  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  // NOLINTNEXTLINE(google-explicit-constructor): std::vector<T, ArenaAllocator<T>> v(arena);
  ArenaAllocator(Arena& arena) noexcept : arena_(&arena) {}
  template <class U>
  // NOLINTNEXTLINE(google-explicit-constructor): allocators convert.
  ArenaAllocator(const ArenaAllocator<U>& other) noexcept : arena_(&other.arena()) {}

  /// Where it pushes.
  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

  /// Pushes; throws std::bad_alloc if there is no room.
  [[nodiscard]] T* allocate(std::size_t count) {
    std::size_t bytes = 0;
    // NOLINTNEXTLINE(bugprone-sizeof-expression): containers keep pointers too.
    if (__builtin_mul_overflow(count, sizeof(T), &bytes)) throw std::bad_array_new_length();
    void* const block = arena_->push(bytes, alignof(T));
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<T*>(block);
  }
  /// Takes `block` back if it is the last push; else it stays until the arena is popped.
  void deallocate(T* block, std::size_t count) noexcept {
    // NOLINTNEXTLINE(bugprone-sizeof-expression): as above.
    (void)arena_->pop_last(block, count * sizeof(T));
  }
  template <class U>
  friend bool operator==(const ArenaAllocator& a, const ArenaAllocator<U>& b) noexcept {
    return &a.arena() == &b.arena() || a.arena().same_arena(b.arena());
  }

 private:
  Arena* arena_;
};

}  // namespace allot
