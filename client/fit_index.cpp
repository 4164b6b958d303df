#include "client/fit_index.hpp"

#include <bit>
#include <cstring>
#include <utility>

namespace allot::detail {

namespace {

constexpr std::size_t kFirstSlots = 512;
constexpr std::size_t kMaxSlots = std::size_t{1} << 32;  // as far as half a hash reaches

}  // namespace

bool FitIndex::grow() noexcept {
  const std::size_t capacity = capacity_ == 0 ? kFirstSlots : 2 * capacity_;
  if (capacity > kMaxSlots) return false;
  const std::size_t bytes = capacity * sizeof(std::uint64_t);
  GuardedPages pages(bytes, bytes);
  if (!pages || !pages.commit(bytes)) return false;
  const std::uint64_t* const old = slots_;
  const std::size_t old_capacity = capacity_;
  slots_ = reinterpret_cast<std::uint64_t*>(pages.base());
  capacity_ = capacity;
  mask_ = capacity - 1;
  shift_ = 32 - static_cast<unsigned>(std::countr_zero(capacity));
  for (std::size_t i = 0; i < old_capacity; ++i) {
    if (old[i] == 0) continue;
    std::size_t place = home_of(old[i] >> 32);
    while (slots_[place] != 0) place = (place + 1) & mask_;
    slots_[place] = old[i];
  }
  pages_ = std::move(pages);
  return true;
}

void FitIndex::clear() noexcept {
  if (count_ > 0) std::memset(slots_, 0, capacity_ * sizeof(std::uint64_t));
  count_ = 0;
}

}  // namespace allot::detail
