// FitTree: a FitHeap's free extents, by size and then by address.
//
// One red-black tree (Boost.Intrusive). In front of it, for each size below 64 KiB, the first
// extent of that size, and a bitmap of the sizes that have one: a small request finds its best fit,
// and a new extent mostly its place, without a descent.
//
// T1. first_[bin] is the first extent in the tree's order whose bin it is; its bit is set iff there
//     is one. The last bin holds all sizes from kLastBin units on.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <boost/intrusive/rbtree.hpp>

#include "client/fit_extents.hpp"

namespace allot::detail {

struct BySizeAndAddress {
  bool operator()(const FitExtent& a, const FitExtent& b) const noexcept {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.begin < b.begin;
  }
  bool operator()(const FitExtent& a, std::size_t bytes) const noexcept { return a.bytes < bytes; }
};

class FitTree {
 public:
  static constexpr std::size_t kBins = 4096;
  static constexpr std::size_t kLastBin = kBins - 1;
  static constexpr std::size_t kFirstsBytes = kBins * sizeof(void*);

  /// `firsts`: kBins pointers, all null, that are this tree's alone.
  explicit FitTree(FitExtent** firsts) noexcept : first_(firsts) {}

  void insert(FitExtent& extent) noexcept;
  void erase(FitExtent& extent) noexcept;
  /// The smallest extent of at least `bytes`, the lowest among equals; nullptr if there is none.
  [[nodiscard]] FitExtent* best(std::size_t bytes) noexcept;
  /// The next one in order.
  [[nodiscard]] FitExtent* after(FitExtent& extent) noexcept;
  [[nodiscard]] const FitExtent* largest() const noexcept {
    return tree_.empty() ? nullptr : &*tree_.rbegin();
  }
  void clear() noexcept;
  /// T1, the order, that all are free; and how many there are.
  [[nodiscard]] bool is_consistent(std::size_t& count) const noexcept;

 private:
  using Tree = boost::intrusive::rbtree<FitExtent, boost::intrusive::compare<BySizeAndAddress>,
                                        boost::intrusive::constant_time_size<false>>;

  [[nodiscard]] static std::size_t bin_of(std::size_t bytes) noexcept {
    const std::size_t units = bytes / 16;
    return units < kLastBin ? units : kLastBin;
  }
  /// The first extent of the first bin at or after `bin` that has one.
  [[nodiscard]] FitExtent* first_from(std::size_t bin) const noexcept;
  void set_first(std::size_t bin, FitExtent* extent) noexcept;

  Tree tree_;
  FitExtent** first_;
  std::uint64_t used_words_ = 0;  // which of the next have a bit
  std::array<std::uint64_t, kBins / 64> used_bins_{};
};

}  // namespace allot::detail
