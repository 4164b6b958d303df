// Atomic<T>: the only atomic type of the project; every operation names its memory order.
//
// Lives in shared memory and in private memory alike: one T, standard layout, no padding, zeroed
// memory is a valid value. Lock-free for every T it accepts, so it works between processes and
// between mappings of one page at different addresses. No operation defaults to sequential
// consistency, and there are no free-standing fences (ThreadSanitizer cannot see them).
#pragma once

#include <atomic>
#include <concepts>

namespace allot::detail {

template <std::unsigned_integral T>
class Atomic {
 public:
  [[nodiscard]] T load_relaxed() const noexcept { return ref().load(std::memory_order_relaxed); }
  [[nodiscard]] T load_acquire() const noexcept { return ref().load(std::memory_order_acquire); }
  void store_relaxed(T value) noexcept { ref().store(value, std::memory_order_relaxed); }
  void store_release(T value) noexcept { ref().store(value, std::memory_order_release); }

  /// Replaces `expected` by `desired`; on failure `expected` becomes what was there (acquire).
  bool compare_exchange_acq_rel(T& expected, T desired) noexcept {
    return ref().compare_exchange_strong(expected, desired, std::memory_order_acq_rel,
                                         std::memory_order_acquire);
  }
  bool compare_exchange_release(T& expected, T desired) noexcept {
    return ref().compare_exchange_strong(expected, desired, std::memory_order_release,
                                         std::memory_order_relaxed);
  }
  T exchange_acquire(T value) noexcept { return ref().exchange(value, std::memory_order_acquire); }

  /// Adds by a plain load and store: for a word that only one thread ever writes.
  void add_single_writer(T amount) noexcept { store_relaxed(load_relaxed() + amount); }

  static constexpr bool kIsLockFree = std::atomic_ref<T>::is_always_lock_free;

 private:
  [[nodiscard]] std::atomic_ref<T> ref() const noexcept {
    // atomic_ref wants a mutable object even to load; the object itself is never const here.
    return std::atomic_ref<T>(const_cast<T&>(value_));
  }

  alignas(std::atomic_ref<T>::required_alignment) T value_;
};

}  // namespace allot::detail
