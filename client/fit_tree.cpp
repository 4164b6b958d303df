#include "client/fit_tree.hpp"

#include <cstring>

namespace allot::detail {

FitExtent* FitTree::first_from(std::size_t bin) const noexcept {
  if (bin >= kBins) return nullptr;
  const std::size_t word = bin / 64;
  const std::uint64_t here = used_bins_[word] >> (bin % 64);
  if (here != 0) return first_[bin + static_cast<std::size_t>(std::countr_zero(here))];
  const std::uint64_t later = word == 63 ? 0 : used_words_ >> (word + 1);
  if (later == 0) return nullptr;
  const std::size_t next = word + 1 + static_cast<std::size_t>(std::countr_zero(later));
  return first_[next * 64 + static_cast<std::size_t>(std::countr_zero(used_bins_[next]))];
}

void FitTree::set_first(std::size_t bin, FitExtent* extent) noexcept {
  first_[bin] = extent;
  std::uint64_t& bits = used_bins_[bin / 64];
  const std::uint64_t bit = std::uint64_t{1} << (bin % 64);
  bits = extent != nullptr ? bits | bit : bits & ~bit;
  const std::uint64_t word = std::uint64_t{1} << (bin / 64);
  used_words_ = bits != 0 ? used_words_ | word : used_words_ & ~word;
}

void FitTree::insert(FitExtent& extent) noexcept {
  const std::size_t bin = bin_of(extent.bytes);
  FitExtent* const first = first_[bin];
  if (first == nullptr || BySizeAndAddress()(extent, *first)) {
    FitExtent* const next = first != nullptr ? first : first_from(bin + 1);
    tree_.insert_before(next != nullptr ? tree_.iterator_to(*next) : tree_.end(), extent);
    set_first(bin, &extent);
  } else {
    tree_.insert_equal(extent);
  }
}

void FitTree::erase(FitExtent& extent) noexcept {
  const std::size_t bin = bin_of(extent.bytes);
  if (first_[bin] == &extent) {
    FitExtent* const next = after(extent);
    set_first(bin, next != nullptr && bin_of(next->bytes) == bin ? next : nullptr);
  }
  tree_.erase(tree_.iterator_to(extent));
}

FitExtent* FitTree::best(std::size_t bytes) noexcept {
  const std::size_t bin = bin_of(bytes);
  FitExtent* const first = first_from(bin);
  if (first == nullptr || first->bytes >= bytes) return first;
  // Of the last bin, whose sizes differ.
  const auto found = tree_.lower_bound(bytes, BySizeAndAddress());
  return found == tree_.end() ? nullptr : &*found;
}

FitExtent* FitTree::after(FitExtent& extent) noexcept {
  const auto next = ++tree_.iterator_to(extent);
  return next == tree_.end() ? nullptr : &*next;
}

void FitTree::clear() noexcept {
  tree_.clear();
  std::memset(first_, 0, kFirstsBytes);
  used_bins_.fill(0);
  used_words_ = 0;
}

bool FitTree::is_consistent(std::size_t& count) const noexcept {
  count = 0;
  const FitExtent* previous = nullptr;
  std::size_t firsts = 0;
  for (const FitExtent& extent : tree_) {
    if (extent.live || (previous != nullptr && !BySizeAndAddress()(*previous, extent)))
      return false;
    const std::size_t bin = bin_of(extent.bytes);
    if (previous == nullptr || bin_of(previous->bytes) != bin) {
      if (first_[bin] != &extent) return false;
      ++firsts;
    }
    previous = &extent;
    ++count;
  }
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    const bool bit = (used_bins_[bin / 64] >> (bin % 64) & 1) != 0;
    const bool word = (used_words_ >> (bin / 64) & 1) != 0;
    if (bit != (first_[bin] != nullptr) || (bit && !word)) return false;
    if (bit) --firsts;
  }
  return firsts == 0;
}

}  // namespace allot::detail
