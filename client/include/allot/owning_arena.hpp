// OwningArena: an Arena whose make() also takes types with destructors.
//
// Which of the two a function takes says who destroys: Arena& promises that nothing needs it,
// OwningArena& that pop, clear, scope end and release run the destructors, in reverse. It adds a
// permission, no data: passed on as an Arena&, it still runs them. (Two handle types rather than a
// policy parameter, so that everything else about arenas is compiled once and a function that does
// not care takes Arena&.) A destructor must not push to the arena that runs it.
#pragma once

#include <allot/arena.hpp>

namespace allot {

namespace detail {

// Lies in the arena before the object it destroys.
struct DestructorNode {
  void (*destroy)(void* objects, std::size_t count) noexcept = nullptr;
  void* objects = nullptr;
  std::size_t count = 0;
  DestructorNode* older = nullptr;
  std::uint64_t end_offset = 0;  // used_bytes() behind the object

  template <class T>
  static void destroy_all(void* objects, std::size_t count) noexcept {
    T* const first = static_cast<T*>(objects);
    while (count > 0) first[--count].~T();
  }
};

}  // namespace detail

class OwningArena : public Arena {
 public:
  OwningArena() noexcept = default;
  /// Takes an arena over: OwningArena arena(Arena::chained());
  explicit OwningArena(Arena&& arena) noexcept : Arena(std::move(arena)) {}

  /// A T made of `args`, destroyed when it is popped; nullptr if there is no room. If T's
  /// constructor throws, its memory stays in use until a pop.
  template <class T, class... Args>
  [[nodiscard]] T* make(Args&&... args) {
    if constexpr (std::is_trivially_destructible_v<T>) {
      return Arena::make<T>(std::forward<Args>(args)...);
    } else {
      auto* const node = static_cast<detail::DestructorNode*>(
          push(objects_at(alignof(T)) + sizeof(T), alignment_of(alignof(T))));
      if (node == nullptr) return nullptr;
      T* const object = ::new (reinterpret_cast<std::byte*>(node) + objects_at(alignof(T)))
          T(std::forward<Args>(args)...);
      adopt(node, object, 1, &detail::DestructorNode::destroy_all<T>);
      return object;
    }
  }

  /// `count` value-initialised Ts, destroyed last to first when they are popped.
  template <class T>
  [[nodiscard]] T* make_array(std::size_t count) {
    if constexpr (std::is_trivially_destructible_v<T>) {
      T* const elements = push_array<T>(count);
      if (elements != nullptr) std::uninitialized_value_construct_n(elements, count);
      return elements;
    } else {
      std::size_t bytes = 0;
      if (__builtin_mul_overflow(count, sizeof(T), &bytes) ||
          __builtin_add_overflow(bytes, objects_at(alignof(T)), &bytes)) {
        bytes = ~std::size_t{0};  // refused as too large
      }
      auto* const node =
          static_cast<detail::DestructorNode*>(push(bytes, alignment_of(alignof(T))));
      if (node == nullptr) return nullptr;
      T* const elements =
          reinterpret_cast<T*>(reinterpret_cast<std::byte*>(node) + objects_at(alignof(T)));
      std::uninitialized_value_construct_n(elements, count);
      adopt(node, elements, count, &detail::DestructorNode::destroy_all<T>);
      return elements;
    }
  }

 private:
  [[nodiscard]] static constexpr std::size_t alignment_of(std::size_t object) noexcept {
    return object > alignof(detail::DestructorNode) ? object : alignof(detail::DestructorNode);
  }
  [[nodiscard]] static constexpr std::size_t objects_at(std::size_t alignment) noexcept {
    return (sizeof(detail::DestructorNode) + alignment - 1) & ~(alignment - 1);
  }
  void adopt(detail::DestructorNode* node, void* objects, std::size_t count,
             void (*destructor)(void*, std::size_t) noexcept) noexcept {
    ::new (node) detail::DestructorNode{destructor, objects, count, nullptr, 0};
    adopt_destructor(node);
  }
};

}  // namespace allot
