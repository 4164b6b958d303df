// GuardedBytes: private zeroed memory of which only the start may be touched.
//
// For tests of code that must stay in bounds: the bytes begin on a page, guard pages lie on both
// sides, and whatever open() has not reached yet is a guard too. A stray access is a SIGSEGV.
// Exact where sizes are multiples of the page size.
#pragma once

#include <cstddef>

namespace allot::test {

class GuardedBytes {
 public:
  /// Reserves `bytes`; none may be touched yet. Aborts the test program if there is no room.
  explicit GuardedBytes(std::size_t bytes);
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  ~GuardedBytes();

  /// Lets the first `bytes` be touched, rounded up to pages; never closes any.
  void open(std::size_t bytes);

  [[nodiscard]] std::byte* base() const noexcept { return base_; }
  [[nodiscard]] std::size_t open_bytes() const noexcept { return open_bytes_; }

 private:
  std::byte* base_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  std::size_t open_bytes_ = 0;
};

}  // namespace allot::test
