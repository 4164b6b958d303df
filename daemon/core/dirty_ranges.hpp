// DirtyRanges: free granules whose pages are still there, and since when.
//
// Used by RegionCore: what is freed is added, what is granted again is removed, what has waited
// long enough is taken, to be given back to the machine. Ranges are kept in order and never
// overlap; of two that touch each waits from a time of its own. Times are of one clock
// that the caller chooses, and which never goes back.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace allot::core {

class DirtyRanges {
 public:
  struct Range {
    std::uint32_t first = 0;
    std::uint32_t granules = 0;
    friend bool operator==(const Range&, const Range&) = default;
  };

  /// The range is free since `since_ns`; no granule of it is dirty yet.
  void add(std::uint32_t first, std::uint32_t granules, std::uint64_t since_ns);
  /// None of its granules is dirty any more, whichever were.
  void remove(std::uint32_t first, std::uint32_t granules);
  /// Removes and returns the lowest part, of at most `max_granules`, that is dirty since
  /// `until_ns` or longer; nothing if there is none.
  [[nodiscard]] std::optional<Range> take(std::uint32_t max_granules, std::uint64_t until_ns);

  [[nodiscard]] bool is_empty() const noexcept { return ranges_.empty(); }
  /// All together.
  [[nodiscard]] std::uint64_t granules() const noexcept { return granules_; }

 private:
  struct Dirty {
    std::uint32_t granules = 0;
    std::uint64_t since_ns = 0;
  };

  std::map<std::uint32_t, Dirty> ranges_;  // by first granule
  std::uint64_t granules_ = 0;
};

}  // namespace allot::core
