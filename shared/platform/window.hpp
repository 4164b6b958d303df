// Window: a large reserved address range of which only the start is mapped to a file, or is private
// memory of the process.
//
// Used by the client library and the daemon for every file of a region. The reservation is
// anonymous, PROT_NONE, not dumped, at a random page (the kernel's own choice for large mappings
// has 20 varying bits; ours has about 34 at page grain), with guard space on both sides. The
// window is mapped over its start with Boost.Interprocess and only grows.
//
// Invariants
// 1. Nothing of the file beyond size_bytes() is mapped: a stray read there faults, a core dump
//    skips it, mlockall() commits at most the window.
// 2. The base never moves; addresses inside the window stay valid until destruction.
// 3. Every address is unmapped exactly once, so that no mapping of another thread that lands in
//    a fresh gap is lost.
// 4. Window pages of a file are DONTFORK and DONTDUMP. Those of private memory are neither: a forked
//    child has its own copy of them at the same place.
//
// extend() must not run twice at once; readers of size_bytes() may run beside it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <boost/interprocess/mapped_region.hpp>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::platform {

class Window {
 public:
  enum class Access : std::uint8_t { kReadOnly, kReadWrite };

  struct Options {
    std::uint64_t file_offset_bytes = 0;  // page-aligned
    std::size_t reserve_bytes =
        0;  // wanted; halved if refused, and once more, down to minimum_bytes
    std::size_t minimum_bytes = 0;
    std::size_t alignment_bytes = 0;  // of the base: a power of two; 0 means a page
    Access access = Access::kReadWrite;
  };

  Window() noexcept = default;
  Window(Window&& other) noexcept;
  Window& operator=(Window&& other) noexcept;
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  ~Window();

  /// Reserves address space; maps nothing yet. Errc::kAddressSpace if not even
  /// options.minimum_bytes can be had.
  [[nodiscard]] static Expected<Window> reserve(const Options& options);

  /// Maps file pages up to `new_size_bytes` from the base (rounded up to pages). A smaller size
  /// than the present one changes nothing. Errc::kAddressSpace beyond reserved_bytes().
  [[nodiscard]] Expected<void> extend(const Descriptor& file, std::size_t new_size_bytes);

  /// The same without a file: private memory, zero, used once it is touched. Not for a window that
  /// has parts of a file.
  [[nodiscard]] Expected<void> extend_privately(std::size_t new_size_bytes);

  [[nodiscard]] std::byte* base() const noexcept { return base_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  [[nodiscard]] std::size_t reserved_bytes() const noexcept { return reserved_bytes_; }

 private:
  [[nodiscard]] Expected<void> check_room(std::size_t new_size_bytes) const;
  void release() noexcept;

  std::byte* base_ = nullptr;
  std::size_t size_bytes_ = 0;
  std::size_t reserved_bytes_ = 0;
  std::uint64_t file_offset_bytes_ = 0;
  Access access_ = Access::kReadWrite;
  std::vector<boost::interprocess::mapped_region> pieces_;
};

}  // namespace allot::platform
