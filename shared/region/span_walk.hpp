// SpanWalk: goes over a region's spans by their descriptors, in slices, and counts each.
//
// Used by the audit and by the control socket's list of spans, from the daemon or from any process
// that maps directory and ledger. Descriptors that contradict each other go to the sink.
//
// Invariants
// 1. Descriptors are input: each is read once into a local, checked, then used.
// 2. The walk only goes up; whatever others store meanwhile, it ends.
// 3. A span that changes while it is counted is left out, and moved() says so.
//
// Where a page of the descriptor table was never granted from, reading it commits it: 8 bytes for
// each granule of the gap. Not thread-safe; others may change the region meanwhile.
#pragma once

#include <cstdint>

#include "shared/region/region_view.hpp"
#include "shared/region/span_count.hpp"

namespace allot::region {

class SpanWalk {
 public:
  enum class Step : std::uint8_t { kBusy, kSpan, kEnd };

  /// Walks the spans that begin at or after `first_granule` and lie below `limit_granules`.
  SpanWalk(RegionView view, std::uint64_t first_granule, std::uint64_t limit_granules,
           SpanSink& sink) noexcept;

  /// Goes on until a span is counted (kSpan: span() has it), the budget is spent (kBusy) or the
  /// end is reached (kEnd). Takes what it uses from `budget_words`.
  [[nodiscard]] Step step(std::uint64_t& budget_words);

  [[nodiscard]] const SpanSums& span() const noexcept { return count_.sums(); }
  /// Where a later walk goes on.
  [[nodiscard]] std::uint64_t next_granule() const noexcept { return granule_; }
  /// True if a span changed hands or carving while it was counted; its count was dropped.
  [[nodiscard]] bool moved() const noexcept { return moved_; }

 private:
  enum class Stage : std::uint8_t { kHead, kInteriors, kWords };

  void read_head(std::uint64_t& budget_words);
  void report_descriptor(std::uint64_t bits);
  void check_interiors(std::uint64_t& budget_words);
  void drop_span() noexcept;

  RegionView view_;
  std::uint64_t granule_;
  std::uint64_t limit_;
  SpanSink* sink_;
  SpanCount count_;
  Stage stage_ = Stage::kHead;
  SpanDescriptor head_;  // of the span at granule_, after kHead
  std::uint32_t next_interior_ = 1;
  bool moved_ = false;
};

}  // namespace allot::region
