// FitIndex: which live extent begins at an address: a hash table in pages of its own.
//
// Open addressing, linear probing, at most half full, so a look-up is one cache line and one
// extent. An entry is the upper half of the hash and the extent's number plus 1; 0 is empty.
// Erasing moves later entries of the run back, so there are no tombstones. A table of one word for
// each 16 bytes of payload would need no probing, but is larger than the caches (ADR 7 has the
// figures).
// Source: Knuth, TAOCP 3, section 6.4, algorithms L and R.
#pragma once

#include <cstddef>
#include <cstdint>

#include "client/fit_extents.hpp"
#include "client/guarded_pages.hpp"

namespace allot::detail {

class FitIndex {
 public:
  explicit FitIndex(const FitExtents& extents) noexcept : extents_(&extents) {}

  /// Sees to it that the next insert succeeds.
  [[nodiscard]] bool reserve_one() noexcept {
    if (2 * (count_ + 1) <= capacity_) [[likely]]
      return true;
    return grow();
  }
  /// reserve_one() has promised it.
  void insert(const FitExtent& extent) noexcept {
    const std::uint64_t hash = hash_of(extent.begin);
    std::size_t place = home_of(hash);
    while (slots_[place] != 0) place = (place + 1) & mask_;
    slots_[place] = (hash << 32) | (std::uint64_t{extents_->number_of(extent)} + 1);
    ++count_;
  }
  /// nullptr if no live extent begins there.
  [[nodiscard]] FitExtent* find(std::uintptr_t begin) const noexcept {
    const std::size_t place = place_of(begin);
    return place == kNowhere ? nullptr : &extent_at(place);
  }
  /// As find(), and takes it out.
  [[nodiscard]] FitExtent* take(std::uintptr_t begin) noexcept {
    const std::size_t place = place_of(begin);
    if (place == kNowhere) return nullptr;
    FitExtent* const extent = &extent_at(place);
    erase(place);
    return extent;
  }
  void clear() noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

 private:
  static constexpr std::size_t kNowhere = ~std::size_t{0};

  // Fibonacci hashing of the unit's number; only the upper half of the product is kept.
  [[nodiscard]] static std::uint64_t hash_of(std::uintptr_t begin) noexcept {
    return ((begin >> 4) * 0x9E3779B97F4A7C15ULL) >> 32;
  }
  [[nodiscard]] std::size_t home_of(std::uint64_t hash) const noexcept { return hash >> shift_; }
  [[nodiscard]] FitExtent& extent_at(std::size_t place) const noexcept {
    return extents_->at(static_cast<std::uint32_t>(slots_[place]) - 1);
  }
  [[nodiscard]] std::size_t place_of(std::uintptr_t begin) const noexcept {
    if (count_ == 0) return kNowhere;
    const std::uint64_t hash = hash_of(begin);
    for (std::size_t place = home_of(hash);; place = (place + 1) & mask_) {
      const std::uint64_t slot = slots_[place];
      if (slot == 0) return kNowhere;
      if (slot >> 32 == hash && extent_at(place).begin == begin) return place;
    }
  }
  void erase(std::size_t place) noexcept {
    for (std::size_t next = place;;) {
      next = (next + 1) & mask_;
      const std::uint64_t slot = slots_[next];
      if (slot == 0) break;
      // It may fill the gap unless its home lies behind the gap.
      if (((next - home_of(slot >> 32)) & mask_) < ((next - place) & mask_)) continue;
      slots_[place] = slot;
      place = next;
    }
    slots_[place] = 0;
    --count_;
  }
  [[nodiscard]] bool grow() noexcept;

  const FitExtents* extents_;
  GuardedPages pages_;
  std::uint64_t* slots_ = nullptr;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t mask_ = 0;
  unsigned shift_ = 32;
  std::size_t count_ = 0;
};

}  // namespace allot::detail
