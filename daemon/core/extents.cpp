#include "daemon/core/extents.hpp"

#include <cassert>
#include <iterator>
#include <memory>

namespace allot::core {

namespace {

constexpr int kMaxMisfits = 64;  // free extents looked at for an alignment's sake

}  // namespace

ExtentMap::ExtentMap(std::uint32_t granules) : granules_(granules), free_granules_(granules) {
  insert_after_cut(0, granules, State::kFree);
}

ExtentMap::~ExtentMap() {
  by_size_.clear();
  by_address_.clear_and_dispose([](Extent* extent) { std::default_delete<Extent>()(extent); });
}

Extent& ExtentMap::insert_after_cut(std::uint32_t first, std::uint32_t granules, State state) {
  auto* const extent = new Extent(first, granules, state);  // owned by by_address_
  by_address_.insert(*extent);
  if (state == State::kFree) by_size_.insert(*extent);
  return *extent;
}

void ExtentMap::remove(Extent& extent) noexcept {
  if (extent.is_free()) by_size_.erase(by_size_.iterator_to(extent));
  by_address_.erase_and_dispose(by_address_.iterator_to(extent), std::default_delete<Extent>());
}

std::optional<std::uint32_t> ExtentMap::allocate(std::uint32_t granules, std::uint32_t count,
                                                 std::uint32_t align_granules) {
  return take(granules, count, align_granules, State::kSpan);
}

std::optional<std::uint32_t> ExtentMap::reserve(std::uint32_t granules) {
  const auto first = take(granules, 1, 1, State::kReserved);
  if (first) reserved_granules_ += granules;
  return first;
}

std::optional<std::uint32_t> ExtentMap::take(std::uint32_t granules, std::uint32_t count,
                                             std::uint32_t align_granules, State state) {
  assert(granules > 0 && count > 0 && align_granules > 0);
  const std::uint64_t wanted = std::uint64_t{granules} * count;
  if (wanted > free_granules_) return std::nullopt;
  const auto total = static_cast<std::uint32_t>(wanted);
  int misfits = 0;
  for (auto it = by_size_.lower_bound(total, BySize()); it != by_size_.end();) {
    const std::uint32_t first =
        (it->first() + align_granules - 1) / align_granules * align_granules;
    if (first < it->first() || first > it->end() || it->end() - first < total) {
      ++it;
      // Any that is longer by the alignment fits, if not best.
      if (++misfits == kMaxMisfits) {
        const std::uint64_t sure = std::uint64_t{total} + align_granules - 1;
        if (sure > granules_) return std::nullopt;
        it = by_size_.lower_bound(static_cast<std::uint32_t>(sure), BySize());
      }
      continue;
    }
    const std::uint32_t start = it->first();
    const std::uint32_t end = it->end();
    remove(*it);
    if (start < first) insert_after_cut(start, first - start, State::kFree);
    for (std::uint32_t i = 0; i < count; ++i) {
      insert_after_cut(first + i * granules, granules, state);
    }
    if (first + total < end) insert_after_cut(first + total, end - first - total, State::kFree);
    free_granules_ -= total;
    return first;
  }
  return std::nullopt;
}

bool ExtentMap::place_span(std::uint32_t first, std::uint32_t granules) {
  return place(first, granules, State::kSpan);
}

bool ExtentMap::place_reserved(std::uint32_t first, std::uint32_t granules) {
  if (!place(first, granules, State::kReserved)) return false;
  reserved_granules_ += granules;
  return true;
}

bool ExtentMap::place(std::uint32_t first, std::uint32_t granules, State state) {
  Extent* const extent = at_or_after(first);
  if (extent == nullptr || !extent->is_free() || extent->first() > first || granules == 0 ||
      granules > extent->end() - first) {
    return false;
  }
  const std::uint32_t start = extent->first();
  const std::uint32_t end = extent->end();
  remove(*extent);
  if (start < first) insert_after_cut(start, first - start, State::kFree);
  insert_after_cut(first, granules, state);
  if (first + granules < end)
    insert_after_cut(first + granules, end - first - granules, State::kFree);
  free_granules_ -= granules;
  return true;
}

void ExtentMap::cut(std::uint32_t first, std::uint32_t granules, std::uint32_t count) {
  assert(granules > 0 && count > 0);
  Extent* const extent = find_reserved(first);
  const std::uint64_t wanted = std::uint64_t{granules} * count;
  assert(extent != nullptr && wanted <= extent->granules());
  const auto total = static_cast<std::uint32_t>(wanted);
  const std::uint32_t end = extent->end();
  remove(*extent);
  for (std::uint32_t i = 0; i < count; ++i) {
    insert_after_cut(first + i * granules, granules, State::kSpan);
  }
  if (first + total < end) insert_after_cut(first + total, end - first - total, State::kReserved);
  reserved_granules_ -= total;
}

void ExtentMap::release(std::uint32_t first) {
  Extent* extent = find(first);
  if (extent == nullptr) {
    extent = find_reserved(first);
    assert(extent != nullptr);
    reserved_granules_ -= extent->granules();
  }
  free_granules_ += extent->granules();
  join(*extent, State::kFree, 0, granules_);
}

void ExtentMap::give_back(std::uint32_t first, std::uint32_t begin, std::uint32_t end) {
  Extent* const extent = find(first);
  assert(extent != nullptr && begin <= first && extent->end() <= end);
  reserved_granules_ += extent->granules();
  join(*extent, State::kReserved, begin, end);
}

void ExtentMap::join(Extent& extent, State state, std::uint32_t begin, std::uint32_t end) {
  std::uint32_t joined_first = extent.first();
  std::uint32_t joined_end = extent.end();
  const auto it = by_address_.iterator_to(extent);
  Extent* const left = it == by_address_.begin() ? nullptr : &*std::prev(it);
  Extent* const right = std::next(it) == by_address_.end() ? nullptr : &*std::next(it);
  remove(extent);
  if (left != nullptr && left->state_ == state && left->first() >= begin) {
    joined_first = left->first();
    remove(*left);
  }
  if (right != nullptr && right->state_ == state && right->end() <= end) {
    joined_end = right->end();
    remove(*right);
  }
  insert_after_cut(joined_first, joined_end - joined_first, state);
}

Extent* ExtentMap::find(std::uint32_t first) noexcept {
  const auto it = by_address_.find(first, ByAddress());
  return it == by_address_.end() || !it->is_span() ? nullptr : &*it;
}

Extent* ExtentMap::find_reserved(std::uint32_t first) noexcept {
  const auto it = by_address_.find(first, ByAddress());
  return it == by_address_.end() || !it->is_reserved() ? nullptr : &*it;
}

Extent* ExtentMap::at_or_after(std::uint32_t granule) noexcept {
  auto it = by_address_.upper_bound(granule, ByAddress());
  if (it != by_address_.begin() && std::prev(it)->end() > granule) --it;
  return it == by_address_.end() ? nullptr : &*it;
}

std::uint32_t ExtentMap::largest_free() const noexcept {
  return by_size_.empty() ? 0 : by_size_.rbegin()->granules();
}

bool ExtentMap::is_consistent() const noexcept {
  std::uint32_t next = 0;
  std::uint32_t free_granules = 0;
  std::uint32_t reserved_granules = 0;
  std::size_t free_extents = 0;
  bool previous_free = false;
  for (const Extent& extent : by_address_) {
    if (extent.first() != next || extent.granules() == 0) return false;
    if (extent.is_free() && previous_free) return false;
    if (extent.is_free() != extent.size_hook.is_linked()) return false;
    previous_free = extent.is_free();
    if (extent.is_free()) {
      free_granules += extent.granules();
      ++free_extents;
    }
    if (extent.is_reserved()) reserved_granules += extent.granules();
    next = extent.end();
  }
  return next == granules_ && free_granules == free_granules_ &&
         reserved_granules == reserved_granules_ && free_extents == by_size_.size();
}

}  // namespace allot::core
