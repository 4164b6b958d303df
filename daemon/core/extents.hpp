// ExtentMap: which granules of a region are free, which are reserved, and which span has the
// others.
//
// Used by the daemon's core only; private memory, nothing shared. Every granule of the region lies
// in exactly one extent. Free extents are found by best fit (smallest that serves, lowest address
// among equals) in a red-black tree by size; neighbours are found in a red-black tree by address
// and coalesced on release, so no two free extents touch. A reserved extent is neither free nor a
// span: spans are cut from its beginning, and come back to it. Both trees are Boost.Intrusive's.
//
// Invariants
// 1. Extents cover [0, granules) without gap or overlap.
// 2. Two free extents are never neighbours.
// 3. by_size_ holds exactly the free extents.
//
// Not thread-safe. allocate, cut and release are O(log n); an alignment above 1 may look at some
// more free extents, and then takes one that is long enough for any alignment. Source of best fit
// with coalescing: Knuth, TAOCP 1, section 2.5.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include <boost/intrusive/set.hpp>

namespace allot::core {

/// What the daemon knows of a span, or of a reserved extent, besides its place.
struct SpanInfo {
  std::uint32_t session = 0;  // 0: orphan
  uid_t uid = 0;              // charged for it until it is free again
  std::uint32_t word_count = 0;
  std::uint64_t granted_unix_ns = 0;
  std::uint32_t orphan_bin = 0;  // of an orphan: the class it is cut for; kLargeBin: none
};

class Extent {
 public:
  [[nodiscard]] std::uint32_t first() const noexcept { return first_; }
  [[nodiscard]] std::uint32_t granules() const noexcept { return granules_; }
  [[nodiscard]] std::uint32_t end() const noexcept { return first_ + granules_; }
  [[nodiscard]] bool is_free() const noexcept { return state_ == State::kFree; }
  [[nodiscard]] bool is_span() const noexcept { return state_ == State::kSpan; }
  [[nodiscard]] bool is_reserved() const noexcept { return state_ == State::kReserved; }

  SpanInfo info;  // of a span

 private:
  friend class ExtentMap;
  friend struct ByAddress;
  friend struct BySize;

  enum class State : std::uint8_t { kFree, kSpan, kReserved };

  Extent(std::uint32_t first, std::uint32_t granules, State state) noexcept
      : first_(first), granules_(granules), state_(state) {}

  std::uint32_t first_;
  std::uint32_t granules_;
  State state_;

 public:
  boost::intrusive::set_member_hook<> address_hook;
  boost::intrusive::set_member_hook<> size_hook;
};

struct ByAddress {
  bool operator()(const Extent& a, const Extent& b) const noexcept { return a.first() < b.first(); }
  bool operator()(const Extent& a, std::uint32_t first) const noexcept { return a.first() < first; }
  bool operator()(std::uint32_t first, const Extent& b) const noexcept { return first < b.first(); }
};

struct BySize {
  bool operator()(const Extent& a, const Extent& b) const noexcept {
    return a.granules() != b.granules() ? a.granules() < b.granules() : a.first() < b.first();
  }
  bool operator()(const Extent& a, std::uint32_t granules) const noexcept {
    return a.granules() < granules;
  }
  bool operator()(std::uint32_t granules, const Extent& b) const noexcept {
    return granules < b.granules();
  }
};

class ExtentMap {
 public:
  /// One free extent of `granules` (at least 1).
  explicit ExtentMap(std::uint32_t granules);
  ExtentMap(const ExtentMap&) = delete;
  ExtentMap& operator=(const ExtentMap&) = delete;
  ~ExtentMap();

  /// Takes `count` spans of `granules` each, side by side, the first a multiple of
  /// `align_granules` (a power of two); all three at least 1. Returns the first granule, or
  /// nothing if no free extent is long enough.
  [[nodiscard]] std::optional<std::uint32_t> allocate(std::uint32_t granules, std::uint32_t count,
                                                      std::uint32_t align_granules);

  /// Makes one reserved extent of `granules` (at least 1) out of free ones; as allocate().
  [[nodiscard]] std::optional<std::uint32_t> reserve(std::uint32_t granules);

  /// Takes `count` spans of `granules` each, side by side, from the beginning of the reserved
  /// extent that begins at `first`. It must exist and be long enough.
  void cut(std::uint32_t first, std::uint32_t granules, std::uint32_t count);

  /// Makes the free granules [first, first + granules) one span, or one reserved extent; false, and
  /// nothing done, if they are not all free (or there are none).
  [[nodiscard]] bool place_span(std::uint32_t first, std::uint32_t granules);
  [[nodiscard]] bool place_reserved(std::uint32_t first, std::uint32_t granules);

  /// Makes the span or reserved extent that begins at `first` free and joins it with free
  /// neighbours. It must exist.
  void release(std::uint32_t first);

  /// Makes the span that begins at `first` reserved and joins it with reserved neighbours inside
  /// [begin, end). It must exist.
  void give_back(std::uint32_t first, std::uint32_t begin, std::uint32_t end);

  /// The span that begins at `first`; nullptr if none does.
  [[nodiscard]] Extent* find(std::uint32_t first) noexcept;
  /// The reserved extent that begins at `first`; nullptr if none does.
  [[nodiscard]] Extent* find_reserved(std::uint32_t first) noexcept;

  /// The first extent that ends after `granule`; nullptr beyond the last.
  [[nodiscard]] Extent* at_or_after(std::uint32_t granule) noexcept;

  [[nodiscard]] std::uint32_t granules() const noexcept { return granules_; }
  [[nodiscard]] std::uint32_t free_granules() const noexcept { return free_granules_; }
  [[nodiscard]] std::uint32_t reserved_granules() const noexcept { return reserved_granules_; }
  [[nodiscard]] std::uint32_t largest_free() const noexcept;
  [[nodiscard]] std::size_t extent_count() const noexcept { return by_address_.size(); }

  /// Checks the three invariants; for tests and the audit. O(n).
  [[nodiscard]] bool is_consistent() const noexcept;

 private:
  using AddressHook = boost::intrusive::member_hook<Extent, boost::intrusive::set_member_hook<>,
                                                    &Extent::address_hook>;
  using SizeHook = boost::intrusive::member_hook<Extent, boost::intrusive::set_member_hook<>,
                                                 &Extent::size_hook>;
  using AddressTree =
      boost::intrusive::set<Extent, AddressHook, boost::intrusive::compare<ByAddress>>;
  using SizeTree = boost::intrusive::set<Extent, SizeHook, boost::intrusive::compare<BySize>>;

  using State = Extent::State;
  [[nodiscard]] std::optional<std::uint32_t> take(std::uint32_t granules, std::uint32_t count,
                                                  std::uint32_t align_granules, State state);
  [[nodiscard]] bool place(std::uint32_t first, std::uint32_t granules, State state);
  Extent& insert_after_cut(std::uint32_t first, std::uint32_t granules, State state);
  void remove(Extent& extent) noexcept;
  /// `extent` becomes `state` and one with those neighbours inside [begin, end) that are.
  void join(Extent& extent, State state, std::uint32_t begin, std::uint32_t end);

  std::uint32_t granules_;
  std::uint32_t free_granules_;
  std::uint32_t reserved_granules_ = 0;
  AddressTree by_address_;
  SizeTree by_size_;
};

}  // namespace allot::core
