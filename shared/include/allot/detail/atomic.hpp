// Atomic<T>: the only atomic type of the project; every operation names its memory order.
//
// Lives in shared memory and in private memory alike: one T, standard layout, no padding, zeroed
// memory is a valid value. Lock-free for every T it accepts, so it works between processes and
// between mappings of one page at different addresses. No operation defaults to sequential
// consistency, and there are no free-standing fences (ThreadSanitizer cannot see them).
#pragma once

#include <concepts>

namespace allot::detail {

// The compiler's own operations and not std::atomic_ref, whose checks of alignment cost a tenth of
// an allocation where the library's assertions are on.
template <std::unsigned_integral T>
class Atomic {
 public:
  [[nodiscard]] T load_relaxed() const noexcept {
    return __atomic_load_n(&value_, __ATOMIC_RELAXED);
  }
  [[nodiscard]] T load_acquire() const noexcept {
    return __atomic_load_n(&value_, __ATOMIC_ACQUIRE);
  }
  void store_relaxed(T value) noexcept { __atomic_store_n(&value_, value, __ATOMIC_RELAXED); }
  void store_release(T value) noexcept { __atomic_store_n(&value_, value, __ATOMIC_RELEASE); }

  /// Replaces `expected` by `desired`; on failure `expected` becomes what was there (acquire).
  bool compare_exchange_acq_rel(T& expected, T desired) noexcept {
    return __atomic_compare_exchange_n(&value_, &expected, desired, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
  }
  bool compare_exchange_release(T& expected, T desired) noexcept {
    return __atomic_compare_exchange_n(&value_, &expected, desired, false, __ATOMIC_RELEASE,
                                       __ATOMIC_RELAXED);
  }
  T exchange_acquire(T value) noexcept {
    return __atomic_exchange_n(&value_, value, __ATOMIC_ACQUIRE);
  }

  /// Adds by a plain load and store: for a word that only one thread ever writes.
  void add_single_writer(T amount) noexcept { store_relaxed(load_relaxed() + amount); }

  /// Adds one, likewise. One instruction where the machine has one for it, which a compiler does not
  /// make of a load and a store by itself; a sanitizer does not see it.
  void increment_single_writer() noexcept {
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    if constexpr (sizeof(T) == 8) {
      asm("incq %0" : "+m"(value_) : : "cc");
      return;
    }
#endif
    add_single_writer(1);
  }

  static constexpr bool kIsLockFree = __atomic_always_lock_free(sizeof(T), nullptr);

 private:
  alignas(sizeof(T)) T value_;
};

}  // namespace allot::detail
