// GuardedPages: private memory for tables that nothing else may reach: a guard page lies on either
// side.
//
// Reserved once, committed from its start as it is needed; it never moves, and what is committed is
// zero. Used by FitHeap for its bookkeeping, so that running over the end of a payload that the
// kernel has mapped beside it faults. Not thread-safe. No call throws.
#pragma once

#include <cstddef>
#include <utility>

namespace allot::detail {

class GuardedPages {
 public:
  GuardedPages() noexcept = default;
  /// Reserves `bytes`, or a half, a quarter, ... of them, at least `minimum_bytes`; empty if there
  /// is no room in the address space.
  GuardedPages(std::size_t bytes, std::size_t minimum_bytes) noexcept;
  GuardedPages(GuardedPages&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)),
        reserved_(std::exchange(other.reserved_, 0)),
        committed_(std::exchange(other.committed_, 0)) {}
  GuardedPages& operator=(GuardedPages&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(reserved_, other.reserved_);
    std::swap(committed_, other.committed_);
    return *this;
  }
  GuardedPages(const GuardedPages&) = delete;
  GuardedPages& operator=(const GuardedPages&) = delete;
  ~GuardedPages();

  explicit operator bool() const noexcept { return base_ != nullptr; }
  [[nodiscard]] std::byte* base() const noexcept { return base_; }
  [[nodiscard]] std::size_t reserved_bytes() const noexcept { return reserved_; }
  [[nodiscard]] std::size_t committed_bytes() const noexcept { return committed_; }

  /// Makes the first `bytes` usable, and some more: each step is at least as large as a quarter of
  /// what is there. False if they are not reserved or there is no memory.
  [[nodiscard]] bool commit(std::size_t bytes) noexcept;

 private:
  std::byte* base_ = nullptr;
  std::size_t reserved_ = 0;
  std::size_t committed_ = 0;
};

}  // namespace allot::detail
