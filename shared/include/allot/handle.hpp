// Handle: the 8-byte name of a block, valid in every process of its region.
//
// A handle says which region, where and which generation; it carries no right and no ownership.
// It may be stored, sent over any channel, compared and hashed; 0 names nothing. A handle whose
// block was freed since is stale and every use of it is refused (but for one chance in 2^18
// re-uses of that very block; what must be unforgeable wants a secure token instead).
//
//   bits  0..17  generation of the block when the handle was made
//   bits 18..53  address: offset of the block in the region's data, in units of 16 bytes
//   bits 54..63  region tag, drawn at random when the region was made, never 0
#pragma once

#if __cplusplus < 202002L
#error "Allot needs C++20: -std=c++20"
#endif

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace allot {

class Handle {
 public:
  static constexpr unsigned kGenerationBits = 18;
  static constexpr unsigned kAddressBits = 36;
  static constexpr unsigned kRegionBits = 10;
  static constexpr std::uint64_t kAddressUnitBytes = 16;

  constexpr Handle() noexcept = default;

  /// The handle with exactly these bits, as received from another process. Any value is safe to
  /// use: what does not name a live block is refused.
  [[nodiscard]] static constexpr Handle from_bits(std::uint64_t bits) noexcept {
    Handle handle;
    handle.bits_ = bits;
    return handle;
  }

  /// The handle of the block at `offset_bytes` (a multiple of 16 below 2^40).
  [[nodiscard]] static constexpr Handle make(std::uint32_t region_tag, std::uint64_t offset_bytes,
                                             std::uint32_t generation) noexcept {
    return from_bits((std::uint64_t{region_tag} << (kGenerationBits + kAddressBits)) |
                     ((offset_bytes / kAddressUnitBytes) << kGenerationBits) | generation);
  }

  /// The 64 bits to send or store.
  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }
  [[nodiscard]] constexpr std::uint32_t region_tag() const noexcept {
    return static_cast<std::uint32_t>(bits_ >> (kGenerationBits + kAddressBits));
  }
  [[nodiscard]] constexpr std::uint64_t offset_bytes() const noexcept {
    return ((bits_ >> kGenerationBits) & ((std::uint64_t{1} << kAddressBits) - 1)) *
           kAddressUnitBytes;
  }
  [[nodiscard]] constexpr std::uint32_t generation() const noexcept {
    return static_cast<std::uint32_t>(bits_ & ((std::uint64_t{1} << kGenerationBits) - 1));
  }

  /// False for the handle that names nothing.
  constexpr explicit operator bool() const noexcept { return bits_ != 0; }
  friend constexpr auto operator<=>(Handle, Handle) noexcept = default;

 private:
  std::uint64_t bits_ = 0;
};

static_assert(sizeof(Handle) == 8);
static_assert(Handle::kGenerationBits + Handle::kAddressBits + Handle::kRegionBits == 64);

}  // namespace allot

template <>
struct std::hash<allot::Handle> {
  std::size_t operator()(allot::Handle handle) const noexcept {
    return std::hash<std::uint64_t>{}(handle.bits());
  }
};
