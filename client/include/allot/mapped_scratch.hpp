// MappedScratch: a scratch that is a mapping of its own, for what must not linger.
//
// Guard pages lie on both sides; it is not in core dumps, a forked child does not have it, and at
// its end it is unmapped: the kernel clears the pages before anybody has them again. A fixed arena
// is in it. Costs two system calls at either end; for one thread.
#pragma once

#include <allot/arena.hpp>

namespace allot {

class ALLOT_EXPORT MappedScratch {
 public:
  /// Maps `size_bytes` (1 .. 2^46), rounded up to pages. Empty if it is refused: kAddressSpace,
  /// kBadArgument.
  explicit MappedScratch(std::size_t size_bytes, Place place = Place::here()) noexcept;
  MappedScratch(const MappedScratch&) = delete;
  MappedScratch& operator=(const MappedScratch&) = delete;
  ~MappedScratch();

  explicit operator bool() const noexcept { return mapping_ != nullptr; }
  [[nodiscard]] Arena& arena() noexcept { return arena_; }
  [[nodiscard]] std::size_t size_bytes() const noexcept { return size_bytes_; }
  /// The first byte that may be used; the byte before it and the one at size_bytes() fault.
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }

 private:
  std::byte* mapping_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t size_bytes_ = 0;
  Arena arena_;
};

}  // namespace allot
