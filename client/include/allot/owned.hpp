// Owned<T> and Pinned<T>: RAII for blocks of a region.
//
// Owned frees its block in its destructor. Once it was offered, whoever came first has it: then the
// destructor takes the offer back and frees the block only if that succeeds, so that a block that
// was adopted, freed and handed out again at this address, perhaps to us, is left alone. Pinned
// ends a find(). Both are move-only; use one from one thread at a time.
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

/// What Owned<T> and Owned<T[]> are besides a type: a block, and how it is given away.
class OwnedBlock {
 public:
  OwnedBlock() noexcept = default;
  OwnedBlock(Session session, void* block) noexcept : session_(std::move(session)), block_(block) {}
  OwnedBlock(OwnedBlock&& other) noexcept
      : session_(std::move(other.session_)),
        block_(std::exchange(other.block_, nullptr)),
        offered_(std::exchange(other.offered_, {})) {}
  OwnedBlock& operator=(OwnedBlock&& other) noexcept {
    if (this != &other) {
      reset();
      session_ = std::move(other.session_);
      block_ = std::exchange(other.block_, nullptr);
      offered_ = std::exchange(other.offered_, {});
    }
    return *this;
  }
  OwnedBlock(const OwnedBlock&) = delete;
  OwnedBlock& operator=(const OwnedBlock&) = delete;
  ~OwnedBlock() { reset(); }

  explicit operator bool() const noexcept { return block_ != nullptr; }

  /// Lets another session adopt the object; until one does it is ours and freed by us. kBadArgument
  /// if this is empty.
  [[nodiscard]] Expected<Handle> offer() {
    if (block_ == nullptr) return Error(Errc::kBadArgument, "nothing is owned");
    auto handle = session_->offer(block_);
    if (handle) offered_ = *handle;
    return handle;
  }
  /// Takes the offer back; kStaleHandle, kNotOwner or kNotOffered if somebody has adopted it.
  [[nodiscard]] Expected<void> retract() {
    if (!offered_) return Error(Errc::kBadArgument, "nothing is offered");
    const auto taken = session_->retract(offered_);
    if (!taken) return taken.error();
    offered_ = {};
    return {};
  }
  [[nodiscard]] Expected<Handle> handle() {
    if (block_ == nullptr) return Error(Errc::kBadArgument, "nothing is owned");
    return session_->handle_of(block_);
  }
  /// Gives the object to the service under `name`; on success this is empty.
  [[nodiscard]] Expected<Handle> publish(std::string_view name) {
    if (block_ == nullptr) return Error(Errc::kBadArgument, "nothing is owned");
    auto handle = session_->publish(name, block_);
    if (handle) (void)release();
    return handle;
  }
  /// Frees the object now, unless somebody has adopted it.
  void reset() noexcept {
    const Handle offered = offered_;
    void* const block = release();
    if (block == nullptr || (offered && !session_->retract(offered))) return;
    (void)session_->free(block);
  }

 protected:
  [[nodiscard]] void* block() const noexcept { return block_; }
  void* release() noexcept {
    offered_ = {};
    return std::exchange(block_, nullptr);
  }

 private:
  std::optional<Session> session_;
  void* block_ = nullptr;
  Handle offered_;  // empty: never offered
};

}  // namespace detail

/// Owns one T in a region. Empty after a failed make(), a move, publish() or detach().
template <class T>
class Owned : public detail::OwnedBlock {
  static_assert(detail::kMayLiveInARegion<T>,
                "no destructor runs when the owner is killed, and a vtable lies at another "
                "address in another process");

 public:
  Owned() noexcept = default;
  /// Takes over a block that `session` owns and that holds a T.
  Owned(Session session, T* object) noexcept : OwnedBlock(std::move(session), object) {}

  [[nodiscard]] T* get() const noexcept { return static_cast<T*>(block()); }
  T& operator*() const noexcept { return *get(); }
  T* operator->() const noexcept { return get(); }
  /// Lets the object outlive this scope: still owned by the session until adopted, freed or ended.
  T* detach() && noexcept { return static_cast<T*>(release()); }
};

/// Owns an array in a region. size() of an adopted array counts what fits its block.
template <class T>
class Owned<T[]> : public detail::OwnedBlock {
  static_assert(detail::kMayLiveInARegion<T>);

 public:
  Owned() noexcept = default;
  Owned(Session session, T* elements, std::size_t count) noexcept
      : OwnedBlock(std::move(session), elements), count_(count) {}

  [[nodiscard]] T* get() const noexcept { return static_cast<T*>(block()); }
  [[nodiscard]] std::size_t size() const noexcept { return *this ? count_ : 0; }
  [[nodiscard]] std::span<T> span() const noexcept { return {get(), size()}; }
  T& operator[](std::size_t index) const noexcept {
    assert(index < size());
    return get()[index];
  }
  /// As Owned<T>::detach().
  T* detach() && noexcept { return static_cast<T*>(release()); }

 private:
  std::size_t count_ = 0;
};

/// A published T, readable while this lives. The pin ends with it; where the daemon cannot be told
/// before the session's deadline, with the session's next request or its end.
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
    if (found_.address != nullptr) session_->end_pin(found_.handle);
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
  if (found->size_bytes < sizeof(T) ||
      reinterpret_cast<std::uintptr_t>(found->address) % alignof(T) != 0) {
    return Error(Errc::kTypeMismatch, std::to_string(found->size_bytes) +
                                          " bytes, or badly aligned, for a type of " +
                                          std::to_string(sizeof(T)));
  }
  return pinned;
}

}  // namespace allot
