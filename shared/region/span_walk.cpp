#include "shared/region/span_walk.hpp"

#include <algorithm>

namespace allot::region {

namespace {

// What finding a span costs beside its words, in words.
constexpr std::uint64_t kSpanCost = 64;
// The same for a descriptor that makes no sense: the sink may have to ask the daemon's core.
constexpr std::uint64_t kSuspectCost = 1024;
constexpr std::uint64_t kDescriptorBits = 60;

constexpr std::uint64_t spend(std::uint64_t budget, std::uint64_t cost) noexcept {
  return budget > cost ? budget - cost : 0;
}

// A head that can be what the daemon wrote for a span at `granule` of a region of `limit`.
bool is_sound_head(const SpanDescriptor& head, std::uint64_t bits, std::uint64_t granule,
                   std::uint64_t limit) noexcept {
  const std::uint64_t words = std::uint64_t{head.word_units} * kWordsPerUnit;
  const bool holder =
      head.state == SpanState::kGranted ? head.session >= kFirstSession : head.session == 0;
  return bits >> kDescriptorBits == 0 && head.granules > 0 && head.granules <= limit - granule &&
         words > 0 && words <= std::uint64_t{head.granules} * kWordsPerGranule && holder;
}

}  // namespace

SpanWalk::SpanWalk(RegionView view, std::uint64_t first_granule, std::uint64_t limit_granules,
                   SpanSink& sink) noexcept
    : view_(view),
      granule_(first_granule),
      limit_(std::min(limit_granules, view.granules())),
      sink_(&sink),
      count_(view, sink) {}

SpanWalk::Step SpanWalk::step(std::uint64_t& budget_words) {
  // Others may have had their turn since the last step: what was counted may be gone.
  if (stage_ != Stage::kHead && !count_.head_is_same()) drop_span();
  while (budget_words > 0) {
    switch (stage_) {
      case Stage::kHead:
        if (granule_ >= limit_) return Step::kEnd;
        read_head(budget_words);
        break;
      case Stage::kInteriors: check_interiors(budget_words); break;
      case Stage::kWords:
        switch (count_.step(budget_words)) {
          case SpanCount::Step::kBusy: return Step::kBusy;
          case SpanCount::Step::kMoved: drop_span(); break;
          case SpanCount::Step::kDone:
            granule_ += head_.granules;
            stage_ = Stage::kHead;
            return Step::kSpan;
        }
        break;
    }
  }
  return Step::kBusy;
}

void SpanWalk::read_head(std::uint64_t& budget_words) {
  while (granule_ < limit_ && budget_words > 0) {
    // A1 pairs with R1 in RegionCore::write_descriptors().
    const std::uint64_t bits = view_.descriptor(granule_).load_acquire();
    budget_words = spend(budget_words, 1);
    if (bits == 0) {
      ++granule_;
      continue;
    }
    const SpanDescriptor head = SpanDescriptor::decode(bits);
    if (!head.is_head() || !is_sound_head(head, bits, granule_, limit_)) {
      report_descriptor(bits);
      budget_words = spend(budget_words, kSuspectCost);
      ++granule_;
      continue;
    }
    budget_words = spend(budget_words, kSpanCost);
    head_ = head;
    count_.begin(SpanRef{static_cast<std::uint32_t>(granule_), head,
                         static_cast<std::uint32_t>(head.word_units * kWordsPerUnit)},
                 bits);
    next_interior_ = 1;
    stage_ = Stage::kInteriors;
    return;
  }
}

// Not a head, or one that makes no sense. Where spans were granted across the cursor or across the
// limit since the walk began, that is motion: interiors whose head covers them, and heads that
// reach beyond the limit of then but not of now.
void SpanWalk::report_descriptor(std::uint64_t bits) {
  const SpanDescriptor found = SpanDescriptor::decode(bits);
  const bool interior = found.state == SpanState::kInterior && found.session == 0 &&
                        found.word_units == 0 && bits >> kDescriptorBits == 0;
  if (interior && view_.find_span(granule_, limit_)) return;
  const std::uint64_t limit_now = std::min(sink_->present_limit_granules(), view_.granules());
  const bool beyond =
      granule_ < limit_now &&
      (interior ? view_.find_span(granule_, limit_now).has_value()
                : found.is_head() && is_sound_head(found, bits, granule_, limit_now));
  if (beyond || view_.descriptor(granule_).load_acquire() != bits) {
    moved_ = true;
    return;
  }
  sink_->on_violation(
      {interior ? Fault::kInteriorStray : Fault::kDescriptorMalformed, granule_, 0, bits, 0});
}

void SpanWalk::check_interiors(std::uint64_t& budget_words) {
  for (; next_interior_ < head_.granules && budget_words > 0; ++next_interior_) {
    const std::uint64_t wanted =
        SpanDescriptor{SpanState::kInterior, 0, next_interior_, 0}.encode();
    // Relaxed: only compared, and believed only if the head is still the same.
    const std::uint64_t bits = view_.descriptor(granule_ + next_interior_).load_relaxed();
    budget_words = spend(budget_words, 1);
    if (bits == wanted) continue;
    if (!count_.head_is_same()) {
      drop_span();
      return;
    }
    sink_->on_violation({Fault::kInteriorStray, granule_ + next_interior_, 0, bits, wanted});
  }
  if (next_interior_ < head_.granules) return;
  if (head_.state == SpanState::kGranted && !sink_->is_present(head_.session)) {
    sink_->on_violation({Fault::kSpanOfAbsentSession, granule_, 0, head_.session, 0});
  }
  stage_ = Stage::kWords;
}

void SpanWalk::drop_span() noexcept {
  moved_ = true;
  ++granule_;
  stage_ = Stage::kHead;
}

}  // namespace allot::region
