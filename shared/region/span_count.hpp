// SpanCount: counts the blocks of one span by its own words, in slices.
//
// Used by SpanWalk, for the audit and for lists of spans. The carve word says where blocks lie,
// each own word says whose a block is; what contradicts that goes to a SpanSink as a violation.
//
// Invariants
// 1. Carve word and own words are input: read once into a local, checked, then used; no own word
//    beyond the committed ones of the span is touched.
// 2. Something suspicious is read again, with the descriptor and the carve word that made it so,
//    before it is reported: what changed meanwhile is motion, not a violation.
// 3. A member that keeps changing a word is read a few times, then the span counts as moved.
//
// Not thread-safe; others may change the region meanwhile.
#pragma once

#include <cstdint>

#include "shared/region/audit_report.hpp"
#include "shared/region/region_view.hpp"

namespace allot::region {

/// Receives what a walk meets. Called from step().
class SpanSink {
 public:
  virtual ~SpanSink() = default;
  SpanSink() = default;
  SpanSink(const SpanSink&) = delete;
  SpanSink& operator=(const SpanSink&) = delete;

  virtual void on_violation(const Violation& violation) = 0;
  /// Some blocks of `session`; live_bytes is 0 where the carving does not give a size.
  virtual void on_owned(std::uint32_t session, const OwnerSums& blocks) = 0;
  /// A kept block at `offset_bytes` of the data. False: no name holds it.
  [[nodiscard]] virtual bool on_kept(std::uint64_t offset_bytes, std::uint32_t word,
                                     std::uint64_t block_bytes) = 0;
  /// True if the session table says that `session` is there.
  [[nodiscard]] virtual bool is_present(std::uint32_t session) = 0;
  /// Granules below which spans may lie by now: grants between two steps may have raised it.
  [[nodiscard]] virtual std::uint64_t present_limit_granules() = 0;
};

class SpanCount {
 public:
  enum class Step : std::uint8_t { kBusy, kDone, kMoved };

  SpanCount(RegionView view, SpanSink& sink) noexcept : view_(view), sink_(&sink) {}

  /// Begins with the span that the descriptor `head_bits` gives.
  void begin(const SpanRef& span, std::uint64_t head_bits);

  /// Counts on; takes what it uses from `budget_words`. kMoved: the span changed hands or carving
  /// meanwhile, and what was counted is worth nothing.
  [[nodiscard]] Step step(std::uint64_t& budget_words);

  /// The count, once step() says kDone.
  [[nodiscard]] const SpanSums& sums() const noexcept { return sums_; }

  /// True if the descriptor is still the one that begin() was given.
  [[nodiscard]] bool head_is_same() const noexcept;

 private:
  enum class Verdict : std::uint8_t { kFine, kAgain, kMoved };

  [[nodiscard]] bool begin_words();
  [[nodiscard]] std::uint32_t count_plain_blocks(std::uint32_t end);
  Verdict judge_word();
  Verdict judge_block(std::uint32_t word);
  Verdict judge_beyond(std::uint32_t word);
  [[nodiscard]] Verdict judge_chunk(std::uint32_t word);
  void count_owned(std::uint32_t word, std::uint64_t block_bytes);
  void count_kept(std::uint32_t word, std::uint64_t block_bytes);
  void flush_run();
  Verdict confirm(Fault fault, std::uint32_t word);
  void finish();
  [[nodiscard]] std::uint64_t block_offset_bytes() const noexcept;

  RegionView view_;
  SpanSink* sink_;
  SpanSums sums_;
  std::uint64_t first_ = 0;
  std::uint64_t head_bits_ = 0;
  std::uint64_t carve_bits_ = 0;
  bool carving_is_read_ = false;
  std::uint32_t cursor_ = 0;  // next own word
  std::uint64_t unused_blocks_ = 0;
  // Neighbours mostly have one owner: what it has in a row goes to the sink at once.
  std::uint32_t run_owner_ = 0;
  OwnerSums run_;
};

}  // namespace allot::region
