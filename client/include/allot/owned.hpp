// Owned<T> and Pinned<T>: RAII for blocks of a region.
//
// Owned frees its block in its destructor, if this process still owns it: after an adopter took
// an offered block, the destructor finds another owner and leaves the block alone. Pinned ends a
// find(). Both are move-only; use one from one thread at a time.
#pragma once

#include <cassert>
#include <memory>
#include <span>

#include <allot/session.hpp>

namespace allot {

namespace detail {

template <class T>
inline constexpr bool kMayLiveInARegion =
    std::is_trivially_destructible_v<T> && !std::is_polymorphic_v<T>;

}  // namespace detail

/// Owns one T in a region. Empty after a failed make(), a move or detach().
template <class T>
class Owned {
  static_assert(detail::kMayLiveInARegion<T>,
                "no destructor runs when the owner is killed, and a vtable lies at another "
                "address in another process");

 public:
  Owned() noexcept = default;
  /// Takes over a block that `session` owns and that holds a T.
  Owned(Session session, T* object) noexcept : session_(std::move(session)), object_(object) {}
  Owned(Owned&& other) noexcept
      : session_(std::move(other.session_)), object_(std::exchange(other.object_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      reset();
      session_ = std::move(other.session_);
      object_ = std::exchange(other.object_, nullptr);
    }
    return *this;
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { reset(); }

  [[nodiscard]] T* get() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }

  /// Lets another session adopt the object; until one does it is ours and freed by us.
  [[nodiscard]] Expected<Handle> offer() { return session_->offer(object_); }
  [[nodiscard]] Expected<Handle> handle() const { return session_->handle_of(object_); }
  /// Gives the object to the service under `name`; on success this is empty.
  [[nodiscard]] Expected<Handle> publish(std::string_view name) {
    auto handle = session_->publish(name, object_);
    if (handle) object_ = nullptr;
    return handle;
  }
  /// Lets the object outlive this scope: still owned by the session until adopted, freed or ended.
  T* detach() && noexcept { return std::exchange(object_, nullptr); }
  /// Frees the object now.
  void reset() noexcept {
    if (object_ != nullptr) session_->free(std::exchange(object_, nullptr));
  }

 private:
  std::optional<Session> session_;
  T* object_ = nullptr;
};

/// Owns an array in a region. size() of an adopted array counts what fits its block.
template <class T>
class Owned<T[]> {
  static_assert(detail::kMayLiveInARegion<T>);

 public:
  Owned() noexcept = default;
  Owned(Session session, T* elements, std::size_t count) noexcept
      : session_(std::move(session)), elements_(elements), count_(count) {}
  Owned(Owned&& other) noexcept
      : session_(std::move(other.session_)),
        elements_(std::exchange(other.elements_, nullptr)),
        count_(std::exchange(other.count_, 0)) {}
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      reset();
      session_ = std::move(other.session_);
      elements_ = std::exchange(other.elements_, nullptr);
      count_ = std::exchange(other.count_, 0);
    }
    return *this;
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { reset(); }

  [[nodiscard]] T* get() const noexcept { return elements_; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] std::span<T> span() const noexcept { return {elements_, count_}; }
  T& operator[](std::size_t index) const noexcept {
    assert(index < count_);
    return elements_[index];
  }
  explicit operator bool() const noexcept { return elements_ != nullptr; }

  [[nodiscard]] Expected<Handle> offer() { return session_->offer(elements_); }
  [[nodiscard]] Expected<Handle> handle() const { return session_->handle_of(elements_); }
  [[nodiscard]] Expected<Handle> publish(std::string_view name) {
    auto handle = session_->publish(name, elements_);
    if (handle) elements_ = nullptr;
    return handle;
  }
  T* detach() && noexcept {
    count_ = 0;
    return std::exchange(elements_, nullptr);
  }
  void reset() noexcept {
    if (elements_ != nullptr) session_->free(std::exchange(elements_, nullptr));
    count_ = 0;
  }

 private:
  std::optional<Session> session_;
  T* elements_ = nullptr;
  std::size_t count_ = 0;
};

/// A published T, readable while this lives.
template <class T>
class Pinned {
 public:
  Pinned(Session session, const FoundBlock& found) noexcept
      : session_(std::move(session)), found_(found) {}
  Pinned(Pinned&& other) noexcept
      : session_(std::move(other.session_)), found_(std::exchange(other.found_, {})) {}
  Pinned& operator=(Pinned&& other) noexcept {
    std::swap(session_, other.session_);
    std::swap(found_, other.found_);
    return *this;
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() {
    // Nobody can be told: a lost daemon has no pins, and they end with the session anyway.
    if (found_.address != nullptr) (void)session_->unpin(found_.handle);
  }

  const T& operator*() const noexcept { return *static_cast<const T*>(found_.address); }
  const T* operator->() const noexcept { return static_cast<const T*>(found_.address); }
  [[nodiscard]] Handle handle() const noexcept { return found_.handle; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return found_.size_bytes; }

 private:
  std::optional<Session> session_;
  FoundBlock found_;
};

template <class T, class... Args>
Owned<T> Session::make(Args&&... args) {
  void* const block = allocate_aligned(sizeof(T), alignof(T));
  if (block == nullptr) return {};
  return Owned<T>(*this, ::new (block) T(std::forward<Args>(args)...));
}

template <class T>
Owned<T[]> Session::make_array(std::size_t count) {
  if (count > PTRDIFF_MAX / sizeof(T)) count = PTRDIFF_MAX / sizeof(T);  // refused as too large
  void* const block = allocate_aligned(count * sizeof(T), alignof(T));
  if (block == nullptr) return {};
  T* const elements = static_cast<T*>(block);
  std::uninitialized_value_construct_n(elements, count);
  return Owned<T[]>(*this, elements, count);
}

template <class T>
Expected<Owned<T>> Session::adopt(Handle handle) {
  using Element = std::remove_extent_t<T>;
  auto place = resolve(handle);
  if (!place) return place.error();
  const auto address = reinterpret_cast<std::uintptr_t>(*place);
  const std::size_t usable = usable_size(*place);
  if (usable < sizeof(Element) || address % alignof(Element) != 0) {
    return Error(Errc::kTypeMismatch, std::to_string(usable) + " bytes for a type of " +
                                          std::to_string(sizeof(Element)));
  }
  auto block = adopt(handle);
  if (!block) return block.error();
  if constexpr (std::is_array_v<T>) {
    return Owned<T>(*this, static_cast<Element*>(*block), usable / sizeof(Element));
  } else {
    return Owned<T>(*this, static_cast<T*>(*block));
  }
}

template <class T>
Expected<Pinned<T>> Session::find(std::string_view name) {
  auto found = find(name);
  if (!found) return found.error();
  Pinned<T> pinned(*this, *found);
  if (found->size_bytes < sizeof(T)) return Error(Errc::kTypeMismatch);
  return pinned;
}

}  // namespace allot
