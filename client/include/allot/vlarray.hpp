// VlArray<T>: a vector that never moves its elements, on an arena.
//
// On a virtual (or fixed) arena it is contiguous: it lies at the arena's end and grows there.
// Nothing else may be pushed to that arena while it grows (then push_back fails: kNotLast); a
// VlArray without an arena has one of its own. On a chained or chained virtual arena it is
// segmented: segment k holds kFirstElements << k elements, so that indexing is O(1), and other
// pushes do not disturb it.
//
// push_back() is a compare, a store and an add; growing pushes to the arena. It fails with nullptr
// and Arena::last_error(), never by an exception of its own. Elements are destroyed with the array;
// their memory goes back if it is still last in the arena, else when the arena is popped. The array
// must end before the arena is popped below it. While a scope or scratch of the arena that is
// younger than the array is open, it does not grow (kScopeOpen): the scope's end would take the new
// elements' memory. One thread at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <memory>
#include <span>

#include <allot/arena.hpp>
#include <allot/detail/vlarray_iterator.hpp>

namespace allot {

template <class T>
class VlArray {
 public:
  using value_type = T;
  using iterator = detail::VlArrayIterator<VlArray, false>;
  using const_iterator = detail::VlArrayIterator<VlArray, true>;

  /// Of the first segment; a power of two.
  static constexpr std::size_t kFirstElements =
      std::bit_ceil(sizeof(T) >= 4096 ? std::size_t{1} : std::size_t{4096} / sizeof(T));
  /// A contiguous array takes this much from the arena at a time at most.
  static constexpr std::size_t kMaxStepBytes = std::size_t{1} << 20;

  /// On a virtual arena of its own.
  explicit VlArray(Place place = Place::here()) noexcept
      : own_(Arena::reserve(kArenaReserveBytes, {.name = "vlarray"}, place)), arena_(&own_) {}
  /// On `arena`, which must outlive it and not be moved.
  explicit VlArray(Arena& arena) noexcept
      : arena_(&arena),
        segmented_(arena.kind() == ArenaKind::kChained ||
                   arena.kind() == ArenaKind::kChainedVirtual),
        scope_(detail::settle_in_scope(arena)) {}
  /// The elements stay where they are; iterators, which know the array, do not stay valid. The
  /// other is empty then and has no arena.
  VlArray(VlArray&& other) noexcept : arena_(&own_) { take(other); }
  VlArray& operator=(VlArray&& other) noexcept {
    if (this == &other) return *this;
    clear();
    give_back();
    take(other);
    return *this;
  }
  VlArray(const VlArray&) = delete;
  VlArray& operator=(const VlArray&) = delete;
  ~VlArray() {
    clear();
    give_back();
  }

  /// Elements, in constant time.
  [[nodiscard]] std::size_t size() const noexcept {
    return before_ + static_cast<std::size_t>(end_ - begin_);
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// Elements there is room for without a push.
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  /// True if all elements lie side by side, whatever their number.
  [[nodiscard]] bool is_contiguous() const noexcept { return !segmented_; }
  /// Where its elements lie.
  [[nodiscard]] Arena& arena() const noexcept { return *arena_; }

  /// Appends; the new element, or nullptr if the arena has no room. `value` may be an element.
  T* push_back(const T& value) { return emplace_back(value); }
  T* push_back(T&& value) { return emplace_back(std::move(value)); }
  template <class... Args>
  [[gnu::always_inline]] T* emplace_back(Args&&... args) {
    if (end_ == limit_ && !grow()) [[unlikely]]
      return nullptr;
    T* const element = ::new (static_cast<void*>(end_)) T(std::forward<Args>(args)...);
    ++end_;
    return element;
  }
  /// Destroys the last element; the array must not be empty.
  void pop_back() noexcept {
    if (end_ == begin_) enter(segment_ - 1, kFirstElements << (segment_ - 1));
    std::destroy_at(--end_);
  }
  /// Makes room for `count` elements in all; false if there is none: then nothing has changed but
  /// the capacity.
  [[nodiscard]] bool reserve(std::size_t count) noexcept {
    while (capacity_ < count) {
      if (!(segmented_ ? add_segment() : extend(count - capacity_))) return false;
    }
    return true;
  }
  /// Value-initialises up to `count` elements, or destroys down to it; false, and nothing has
  /// changed, if there is no room.
  [[nodiscard]] bool resize(std::size_t count) {
    if (!reserve(count)) return false;
    while (size() < count) (void)emplace_back();
    while (size() > count) pop_back();
    return true;
  }
  /// Destroys all elements; the room for them stays.
  void clear() noexcept {
    if constexpr (std::is_trivially_destructible_v<T>) {
      enter(0, 0);
    } else {
      while (!empty()) pop_back();
    }
  }

  /// Constant time; `index` must be below size(), and an array not empty for front() and back().
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return *at(index); }
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return *at(index); }
  [[nodiscard]] T& front() noexcept { return *at(0); }
  [[nodiscard]] T& back() noexcept { return *at(size() - 1); }
  [[nodiscard]] const T& front() const noexcept { return *at(0); }
  [[nodiscard]] const T& back() const noexcept { return *at(size() - 1); }

  /// All elements; of a segmented array only if they lie in one segment, else an empty span.
  [[nodiscard]] std::span<T> span() const noexcept {
    if (segmented_ && size() > kFirstElements) return {};
    return {segments_[0], size()};
  }
  /// Segments that hold elements, and the elements of one.
  [[nodiscard]] std::size_t segment_count() const noexcept {
    return segment_ + (end_ == begin_ ? 0 : 1);
  }
  [[nodiscard]] std::span<T> segment(std::size_t index) const noexcept {
    if (index == segment_) return {begin_, end_};
    return {segments_[index], kFirstElements << index};
  }

  [[nodiscard]] iterator begin() noexcept { return {this, 0}; }
  [[nodiscard]] iterator end() noexcept { return {this, size()}; }
  [[nodiscard]] const_iterator begin() const noexcept { return {this, 0}; }
  [[nodiscard]] const_iterator end() const noexcept { return {this, size()}; }

 private:
  friend iterator;
  friend const_iterator;
  static constexpr std::size_t kMaxSegments = 48;

  [[nodiscard]] T* at(std::size_t index) const noexcept {
    if (!segmented_) return segments_[0] + index;
    const std::size_t place = index + kFirstElements;
    const auto segment =
        static_cast<std::size_t>(std::bit_width(place) - std::bit_width(kFirstElements));
    return segments_[segment] + (place - (kFirstElements << segment));
  }

  // Makes `segment` the one that is appended to, with `used` elements in it.
  void enter(std::size_t segment, std::size_t used) noexcept {
    segment_ = segment;
    begin_ = segments_[segment];
    end_ = begin_ + used;
    if (segmented_) {
      before_ = kFirstElements * ((std::size_t{1} << segment) - 1);
      limit_ = begin_ == nullptr ? nullptr : begin_ + (kFirstElements << segment);
    } else {
      limit_ = begin_ + capacity_;
    }
  }

  [[nodiscard, gnu::noinline]] bool grow() noexcept {
    if (!segmented_) return extend(1);
    const std::size_t next = begin_ == nullptr ? 0 : segment_ + 1;
    if (next >= segments_made_ && !add_segment()) return false;
    enter(next, 0);
    return true;
  }

  [[nodiscard]] bool add_segment() noexcept {
    if (segments_made_ == kMaxSegments) return false;
    T* const segment = push(kFirstElements << segments_made_, alignof(T));
    if (segment == nullptr) return false;
    segments_[segments_made_] = segment;
    capacity_ += kFirstElements << segments_made_;
    if (++segments_made_ == 1) enter(0, 0);
    return true;
  }

  // By as much as there is already, at most kMaxStepBytes, at least `least` elements.
  [[nodiscard]] bool extend(std::size_t least) noexcept {
    constexpr std::size_t kMost = std::max<std::size_t>(kMaxStepBytes / sizeof(T), 1);
    std::size_t count = std::clamp(capacity_, std::min(kFirstElements, kMost), kMost);
    count = std::max(count, least);
    T* const wanted = limit_;
    T* got = push(count, wanted == nullptr ? alignof(T) : 1);
    if (got == nullptr && count > least) {
      count = least;
      got = push(count, wanted == nullptr ? alignof(T) : 1);
    }
    if (got == nullptr) return false;
    if (wanted != nullptr && got != wanted) {
      (void)arena_->pop_last(got, count * sizeof(T));
      detail::set_last_arena_error(Errc::kNotLast);
      return false;
    }
    capacity_ += count;
    if (wanted == nullptr) {
      segments_[0] = got;
      segments_made_ = 1;
      enter(0, 0);
    } else {
      limit_ += count;
    }
    return true;
  }

  [[nodiscard]] T* push(std::size_t count, std::size_t alignment) noexcept {
    if (detail::open_scope(*arena_) > scope_) {
      detail::set_last_arena_error(Errc::kScopeOpen);
      return nullptr;
    }
    std::size_t bytes = 0;
    if (__builtin_mul_overflow(count, sizeof(T), &bytes)) bytes = ~std::size_t{0};
    void* const block = arena_->try_push(bytes, alignment);
    if (block != nullptr) behind_ = arena_->pos();
    return static_cast<T*>(block);
  }

  void take(VlArray& other) noexcept {
    arena_ = other.arena_ == &other.own_ ? &own_ : other.arena_;
    own_ = std::move(other.own_);
    std::copy_n(other.segments_, std::max<std::size_t>(other.segments_made_, 1), segments_);
    end_ = std::exchange(other.end_, nullptr);
    limit_ = std::exchange(other.limit_, nullptr);
    begin_ = std::exchange(other.begin_, nullptr);
    before_ = std::exchange(other.before_, 0);
    segment_ = std::exchange(other.segment_, 0);
    segments_made_ = std::exchange(other.segments_made_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    segmented_ = std::exchange(other.segmented_, false);
    scope_ = other.scope_;
    behind_ = other.behind_;
    other.segments_[0] = nullptr;
    other.arena_ = &other.own_;
  }

  void give_back() noexcept {
    if (segments_made_ == 0 || arena_->pos() != behind_) return;
    if (!segmented_) {
      (void)arena_->pop_last(segments_[0], capacity_ * sizeof(T));
      return;
    }
    while (segments_made_ > 0) {
      const std::size_t bytes = (kFirstElements << --segments_made_) * sizeof(T);
      if (arena_->pop_last(segments_[segments_made_], bytes) != Errc::kOk) return;
    }
  }

  Arena own_;
  Arena* arena_;
  T* end_ = nullptr;
  T* limit_ = nullptr;
  T* begin_ = nullptr;      // of the segment that is appended to
  std::size_t before_ = 0;  // elements in the segments before it
  std::size_t segment_ = 0;
  std::size_t segments_made_ = 0;
  std::size_t capacity_ = 0;
  bool segmented_ = false;
  std::uint64_t scope_ = 0;  // the youngest that was open when it was made
  ArenaMark behind_;
  T* segments_[kMaxSegments] = {};
};

}  // namespace allot
