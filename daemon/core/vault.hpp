// Vault: what a region's daemon must still know after its own death, and no client may see.
//
// Used by RegionCore, which writes it as it decides and reads it once, in restore(). The rest of its
// state is in the directory. The memory is the caller's: a file that outlives the daemon, or nothing
// (then the core has a vault of its own that ends with it). Zeroed memory is an empty vault.
//
// | part         | written                                                | without it                 |
// |--------------|--------------------------------------------------------|----------------------------|
// | header       | before a session has its incarnation                   | incarnations repeat        |
// | welcomed     | before Welcome                                         | who lives counts as dead   |
// | retirement   | around the counters of a heap that is retired          | they count twice, or never |
// | names        | before the own word is *kept*; pins before Found       | blocks leak                |
// | spans        | before the descriptor that grants                      | whose quota?               |
// | reservations | before Reserved                                        | address space taken twice  |
//
// A kill stops the daemon between two instructions, and every store before is there. What must be in
// this order is separated by then(), which the compiler moves no store across.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "daemon/core/totals.hpp"
#include "shared/region/geometry.hpp"

namespace allot::core {

/// Between stores of which a restart must not see the second without the first.
inline void then() noexcept { std::atomic_signal_fence(std::memory_order_acq_rel); }

inline constexpr std::uint64_t kVaultMagic = 0x315641554C54ULL;  // "TLUAV1"; other fields: another

/// The counters of `heap` go into the totals and become zero. `heap_plus_one` is written last and
/// cleared last: while it is set the other fields say what the totals shall be.
struct Retirement {
  std::uint64_t heap_plus_one;
  std::uint64_t allocations;
  std::uint64_t frees;
  std::uint64_t killed_heaps;
};

struct VaultHeader {
  std::uint64_t magic;
  std::uint64_t granules;
  std::uint64_t next_incarnation;
  std::uint64_t next_session;
  std::uint64_t reservations_end;  // no reservation lay beyond this granule; only grows
  std::array<std::uint64_t, region::kSessionLimit / 64> welcomed;  // a bit for each session's id
  Retirement retirement;
  Totals totals;
};

enum class NameState : std::uint32_t {
  kNone = 0,
  kPending = 1,  // being published: it is a name if the own word is *kept*
  kVisible = 2,
  kHidden = 3,  // the directory's slot is another's
};

struct VaultName {
  NameState state;
  uid_t uid;
  std::uint64_t handle;
  std::uint64_t word;
  std::uint64_t slot;                                          // in the directory
  std::array<std::uint64_t, region::kSessionLimit / 64> pins;  // a bit for each session
};

/// Of the span that begins at the granule.
struct VaultSpan {
  std::uint64_t granted_unix_ns;
  std::uint64_t uid;
};

/// Of the reservation that begins at the granule; one word, so that it is there whole or not.
struct VaultReservation {
  std::uint64_t bits;  // 0: none; else the end in the upper half and the session in the lower

  static constexpr VaultReservation make(std::uint32_t end, std::uint32_t session) noexcept {
    return {std::uint64_t{end} << 32 | session};
  }
  [[nodiscard]] constexpr std::uint32_t end() const noexcept {
    return static_cast<std::uint32_t>(bits >> 32);
  }
  [[nodiscard]] constexpr std::uint32_t session() const noexcept {
    return static_cast<std::uint32_t>(bits);
  }
};

static_assert(sizeof(VaultHeader) == 584 + sizeof(Totals) && sizeof(VaultHeader) <= 4096);
static_assert(sizeof(Totals) == 104 && sizeof(VaultName) == 544 && sizeof(VaultSpan) == 16);
static_assert(std::is_trivial_v<VaultName> && std::is_trivially_copyable_v<VaultHeader>);

/// The vault of a region of `granules` in memory of size_bytes(granules), at a multiple of 8.
class VaultView {
 public:
  VaultView() = default;
  VaultView(std::byte* base, std::uint64_t granules) noexcept : base_(base), granules_(granules) {}

  [[nodiscard]] static constexpr std::uint64_t size_bytes(std::uint64_t granules) noexcept {
    return reservations_offset(granules) + granules * sizeof(VaultReservation);
  }
  explicit operator bool() const noexcept { return base_ != nullptr; }

  [[nodiscard]] VaultHeader& header() const noexcept { return at<VaultHeader>(0); }
  [[nodiscard]] VaultName& name(std::uint32_t index) const noexcept {
    return at<VaultName>(kNamesOffset + index * sizeof(VaultName));
  }
  [[nodiscard]] VaultSpan& span(std::uint32_t first) const noexcept {
    return at<VaultSpan>(kSpansOffset + first * sizeof(VaultSpan));
  }
  [[nodiscard]] VaultReservation& reservation(std::uint32_t first) const noexcept {
    return at<VaultReservation>(reservations_offset(granules_) + first * sizeof(VaultReservation));
  }

 private:
  static constexpr std::uint64_t kNamesOffset = 4096;
  static constexpr std::uint64_t kSpansOffset =
      kNamesOffset + region::kNameLimit * sizeof(VaultName);
  static constexpr std::uint64_t reservations_offset(std::uint64_t granules) noexcept {
    return kSpansOffset + granules * sizeof(VaultSpan);
  }
  template <class T>
  [[nodiscard]] T& at(std::uint64_t offset_bytes) const noexcept {
    return *reinterpret_cast<T*>(base_ + offset_bytes);
  }

  std::byte* base_ = nullptr;
  std::uint64_t granules_ = 0;
};

}  // namespace allot::core
