// StoreTrace: every state that memory is in while some code runs, one for each instruction that changes
// it: what a kill at that instruction leaves.
//
// For tests of code that must survive its own death. The memory is read-only while the code runs; a
// store faults, is let through by a single step, and is noted. x86-64 only, and not under the thread
// sanitizer: kStoreTraceWorks. Not for code that other threads run beside, nor for two traces at once.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "tests/support/sanitizer.hpp"

namespace allot::test {

#if defined(__x86_64__)
inline constexpr bool kStoreTraceWorks = !kThreadSanitizer;
#else
inline constexpr bool kStoreTraceWorks = false;
#endif

/// What one instruction changed: the bytes from `offset` on of area `area`.
struct StoredBytes {
  std::size_t area = 0;
  std::size_t offset = 0;
  std::vector<std::byte> bytes;
};

using Areas = std::vector<std::span<std::byte>>;

/// Runs `code` and calls `stored` after each of its changes of `areas`, in the midst of it. Areas begin
/// at pages and consist of them.
void trace_each_store(const Areas& areas, const std::function<void()>& code,
                      const std::function<void(const StoredBytes&)>& stored);

/// Runs `code` and returns its changes of `areas` in order.
[[nodiscard]] std::vector<StoredBytes> trace_stores(const Areas& areas,
                                                    const std::function<void()>& code);

}  // namespace allot::test
