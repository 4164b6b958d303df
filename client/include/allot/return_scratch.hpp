// ReturnScratch<T>, ReturnSlot: a scratch in the caller's own arena, with room for what is
// returned.
//
// The room lies at the arena's position, aligned and bounded; temporaries are pushed above it, to
// arena(); the end takes them back and leaves exactly the returned object. So a function that
// returns through an arena needs no second one. For virtual and chained virtual arenas, which have
// the room: others answer kArenaKind. While it is open the caller's handle is locked (scratch.hpp).
// Without commit() nothing is left. Not across threads, co_await or fork.
#pragma once

#include <allot/owning_arena.hpp>
#include <allot/scratch.hpp>

namespace allot {

class ALLOT_EXPORT ReturnSlot {
 public:
  /// Room for `size_bytes` at `alignment` in `parent`. Empty, and Arena::last_error() says why, if
  /// it is no virtual arena (kArenaKind) or the room cannot be had (as Arena::push).
  ReturnSlot(Arena& parent, std::size_t size_bytes,
             std::size_t alignment = detail::kDefaultArenaAlignment,
             Place place = Place::here()) noexcept;
  ReturnSlot(const ReturnSlot&) = delete;
  ReturnSlot& operator=(const ReturnSlot&) = delete;
  ~ReturnSlot() { finish(0); }

  explicit operator bool() const noexcept { return slot_ != nullptr; }
  /// The room; nullptr if empty or ended.
  [[nodiscard]] void* slot() const noexcept { return slot_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  /// For temporaries.
  [[nodiscard]] Arena& arena() noexcept { return scratch_.arena(); }

  /// Ends it: temporaries go, the first `used_bytes` of the room stay and are the caller's. Returns
  /// them; nullptr if empty or `used_bytes` is more than the room (kBadArgument: nothing is left).
  void* commit(std::size_t used_bytes) noexcept;
  /// Ends it and leaves nothing.
  void cancel() noexcept { finish(0); }

 private:
  void finish(std::size_t used_bytes) noexcept;

  Arena* parent_;
  ArenaMark before_;
  ArenaMark behind_;
  void* slot_;
  std::size_t size_bytes_;
  Scratch scratch_;
};

/// Room for `size_bytes` in `arena`, and a scratch above it.
[[nodiscard]] inline ReturnSlot scratch_in(Arena& arena, std::size_t size_bytes,
                                           std::size_t alignment = detail::kDefaultArenaAlignment,
                                           Place place = Place::here()) noexcept {
  return ReturnSlot(arena, size_bytes, alignment, place);
}

template <class T>
class ReturnScratch {
  static_assert(
      std::is_trivially_destructible_v<T>,
      "what stays in the arena has nobody to destroy it: return it by value, or make it in "
      "an OwningArena");

 public:
  explicit ReturnScratch(Arena& parent, Place place = Place::here()) noexcept
      : slot_(parent, sizeof(T), alignof(T), place) {}

  explicit operator bool() const noexcept { return static_cast<bool>(slot_); }
  [[nodiscard]] Arena& arena() noexcept { return slot_.arena(); }

  /// Makes the result, anew if there is one; nullptr if empty.
  template <class... Args>
  T* emplace(Args&&... args) {
    if (!slot_) return nullptr;
    return result_ = ::new (slot_.slot()) T(std::forward<Args>(args)...);
  }
  [[nodiscard]] T* get() const noexcept { return result_; }
  /// Ends it: the result stays, all else goes. nullptr, and nothing stays, if none was made.
  T* commit() noexcept {
    T* const result = result_;
    result_ = nullptr;
    if (result == nullptr) {
      slot_.cancel();
      return nullptr;
    }
    return slot_.commit(sizeof(T)) != nullptr ? result : nullptr;
  }

 private:
  ReturnSlot slot_;
  T* result_ = nullptr;
};

}  // namespace allot
