// VlArrayIterator: an index into a VlArray, which says where the element lies.
#pragma once

#include <compare>
#include <cstddef>
#include <iterator>
#include <type_traits>
#include <utility>

namespace allot::detail {

/// Random access; stays valid while its element lives, whatever is appended.
template <class VlArray, bool kConst>
class VlArrayIterator {
  using Array = std::conditional_t<kConst, const VlArray, VlArray>;
  using T = typename VlArray::value_type;

 public:
  using iterator_category = std::random_access_iterator_tag;
  using value_type = T;
  using difference_type = std::ptrdiff_t;
  using reference = std::conditional_t<kConst, const T&, T&>;
  using pointer = std::conditional_t<kConst, const T*, T*>;

  VlArrayIterator() noexcept = default;
  VlArrayIterator(Array* array, std::size_t index) noexcept : array_(array), index_(index) {}
  // NOLINTNEXTLINE(google-explicit-constructor): as iterators convert
  operator VlArrayIterator<VlArray, true>() const noexcept requires(!kConst) {
    return {array_, index_};
  }

  reference operator*() const noexcept { return *array_->at(index_); }
  pointer operator->() const noexcept { return array_->at(index_); }
  reference operator[](difference_type n) const noexcept { return *(*this + n); }
  VlArrayIterator& operator+=(difference_type n) noexcept {
    index_ += static_cast<std::size_t>(n);
    return *this;
  }
  VlArrayIterator& operator-=(difference_type n) noexcept { return *this += -n; }
  VlArrayIterator& operator++() noexcept { return *this += 1; }
  VlArrayIterator& operator--() noexcept { return *this += -1; }
  VlArrayIterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
  VlArrayIterator operator--(int) noexcept { return std::exchange(*this, *this - 1); }
  friend VlArrayIterator operator+(VlArrayIterator it, difference_type n) noexcept {
    return it += n;
  }
  friend VlArrayIterator operator+(difference_type n, VlArrayIterator it) noexcept {
    return it += n;
  }
  friend VlArrayIterator operator-(VlArrayIterator it, difference_type n) noexcept {
    return it -= n;
  }
  friend difference_type operator-(const VlArrayIterator& a, const VlArrayIterator& b) noexcept {
    return static_cast<difference_type>(a.index_ - b.index_);
  }
  friend bool operator==(const VlArrayIterator& a, const VlArrayIterator& b) noexcept {
    return a.index_ == b.index_;
  }
  friend auto operator<=>(const VlArrayIterator& a, const VlArrayIterator& b) noexcept {
    return a.index_ <=> b.index_;
  }

 private:
  Array* array_ = nullptr;
  std::size_t index_ = 0;
};

}  // namespace allot::detail
