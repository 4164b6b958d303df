#include "shared/region/span_count.hpp"

#include <algorithm>

namespace allot::region {

using detail::OwnWord;

namespace {

// A word that a member keeps changing is read at most this often.
constexpr int kTries = 4;
// No owner: owners have 12 bits.
constexpr std::uint32_t kNobody = ~std::uint32_t{0};

}  // namespace

void SpanCount::begin(const SpanRef& span, std::uint64_t head_bits) {
  sums_ = SpanSums{};
  sums_.span = span;
  first_ = span.first;
  head_bits_ = head_bits;
  carving_is_read_ = false;
  cursor_ = 0;
  unused_blocks_ = 0;
  run_owner_ = kNobody;
  run_ = OwnerSums{};
}

bool SpanCount::begin_words() {
  const auto& carve = view_.span_ledger(first_).carve;
  carve_bits_ = carve.load_acquire();
  sums_.carving = view_.carving_of(sums_.span);
  carving_is_read_ = true;
  // carving_of() read the word for itself; use what it found only if both saw the same.
  if (carve.load_acquire() != carve_bits_) return false;
  if (sums_.carving.kind == Carving::Kind::kInvalid) {
    sink_->on_violation({Fault::kCarveInvalid, first_, 0, carve_bits_, 0});
  }
  return true;
}

SpanCount::Step SpanCount::step(std::uint64_t& budget_words) {
  if (!carving_is_read_ && !begin_words()) return Step::kMoved;
  const std::uint32_t end = sums_.span.word_count;
  const auto slice = std::min<std::uint64_t>(end - cursor_, budget_words);
  const auto slice_end = cursor_ + static_cast<std::uint32_t>(slice);
  budget_words -= slice;
  Verdict verdict = Verdict::kFine;
  while (verdict == Verdict::kFine) {
    cursor_ = count_plain_blocks(std::min(slice_end, sums_.carving.block_count));
    if (cursor_ == slice_end) break;
    verdict = judge_word();
    ++cursor_;
  }
  flush_run();
  if (verdict == Verdict::kMoved) return Step::kMoved;
  if (cursor_ < end) return Step::kBusy;
  finish();
  return Step::kDone;
}

// The common words, from the cursor on: free or freed, or of the owner of the last one. Returns the
// index of the first other word, or `end`, or the cursor where that is beyond.
std::uint32_t SpanCount::count_plain_blocks(std::uint32_t end) {
  constexpr std::uint32_t kFlags = OwnWord::kExposed | OwnWord::kOffered;
  std::uint32_t index = cursor_;
  std::uint64_t unused = 0;
  OwnerSums owned;
  for (; index < end; ++index) {
    // A5 pairs with R5, R6 in FastHeap: a word newer than its carving shows that the carving
    // changed.
    const std::uint32_t word = view_.word(first_, index).load_acquire();
    const std::uint32_t owner = OwnWord::owner(word);
    if (owner == run_owner_) {
      ++owned.blocks;
      if ((word & OwnWord::kOffered) != 0) ++owned.offered_blocks;
      if ((word & OwnWord::kExposed) != 0) ++owned.exposed_blocks;
    } else if ((owner == OwnWord::kFree || owner == OwnWord::kFreed) && (word & kFlags) == 0) {
      ++unused;
    } else {
      break;
    }
  }
  unused_blocks_ += unused;
  run_.blocks += owned.blocks;
  run_.offered_blocks += owned.offered_blocks;
  run_.exposed_blocks += owned.exposed_blocks;
  run_.live_bytes += owned.blocks * sums_.carving.block_bytes;
  return index;
}

void SpanCount::flush_run() {
  if (run_.blocks > 0) {
    sums_.space.live_blocks += run_.blocks;
    sums_.space.live_bytes += run_.live_bytes;
    sums_.offered_blocks += run_.offered_blocks;
    sink_->on_owned(run_owner_, run_);
  }
  run_owner_ = kNobody;
  run_ = OwnerSums{};
}

// The word at the cursor, whatever it is. Counted when kFine.
SpanCount::Verdict SpanCount::judge_word() {
  for (int tries = 0; tries < kTries; ++tries) {
    const std::uint32_t word = view_.word(first_, cursor_).load_acquire();  // A5, as above
    const Verdict verdict =
        cursor_ < sums_.carving.block_count ? judge_block(word) : judge_beyond(word);
    if (verdict != Verdict::kAgain) return verdict;
  }
  return Verdict::kMoved;
}

SpanCount::Verdict SpanCount::judge_block(std::uint32_t word) {
  const std::uint32_t owner = OwnWord::owner(word);
  const bool flagged = OwnWord::is_exposed(word) || OwnWord::is_offered(word);
  const std::uint64_t bytes = sums_.carving.block_bytes;
  if (OwnWord::is_session(word)) {
    const bool present = sink_->is_present(owner);
    const Verdict verdict = present ? Verdict::kFine : confirm(Fault::kOwnerAbsent, word);
    if (verdict != Verdict::kFine) return verdict;
    count_owned(word, bytes);
    if (!present) flush_run();  // so that the next one is reported, too
    return verdict;
  }
  Verdict verdict = Verdict::kFine;
  switch (owner) {
    case OwnWord::kFree:
    case OwnWord::kFreed:
      if (flagged) verdict = confirm(Fault::kFlagsWrong, word);
      break;
    case OwnWord::kKept:
      if (OwnWord::is_offered(word) || !OwnWord::is_exposed(word)) {
        verdict = confirm(Fault::kFlagsWrong, word);
      }
      if (verdict == Verdict::kFine) count_kept(word, bytes);
      return verdict;
    case OwnWord::kTaken:
      if (sums_.carving.kind != Carving::Kind::kLarge) {
        verdict = confirm(Fault::kTakenSmallBlock, word);
      } else if (flagged) {
        verdict = confirm(Fault::kFlagsWrong, word);
      }
      break;
    default:
      verdict =
          confirm(owner == OwnWord::kInvalid ? Fault::kWordInvalid : Fault::kOwnerReserved, word);
  }
  if (verdict == Verdict::kFine) ++unused_blocks_;
  return verdict;
}

// A word behind the last block. Where there is no carving yet, the span's session may be making
// one, ahead of the carve word: free words of blocks, or the one word of a large block, its own.
// Where the carving makes no sense, nothing is expected of the words. Chunk words are nobody's
// blocks.
SpanCount::Verdict SpanCount::judge_beyond(std::uint32_t word) {
  if (word == 0) return Verdict::kFine;
  if (sums_.carving.chunked) return judge_chunk(word);
  const std::uint32_t unflagged = word & ~OwnWord::kGenerationMask;
  const bool may_be_carved_now =
      sums_.carving.kind == Carving::Kind::kNone &&
      (unflagged == OwnWord::make(OwnWord::kFree, 0) ||
       unflagged ==
           OwnWord::make(OwnWord::kFreed, 0) ||  // or no longer: it goes back to the reserve
       (cursor_ == 0 && unflagged == OwnWord::make(sums_.span.head.session, 0)));
  if (sums_.carving.kind != Carving::Kind::kInvalid && !may_be_carved_now) {
    const Verdict verdict = confirm(Fault::kWordBeyondBlocks, word);
    if (verdict != Verdict::kFine) return verdict;
  }
  // Its owner counts it, wherever it lies.
  if (OwnWord::is_session(word)) count_owned(word, 0);
  if (OwnWord::owner(word) == OwnWord::kKept) count_kept(word, 0);
  return Verdict::kFine;
}

SpanCount::Verdict SpanCount::judge_chunk(std::uint32_t word) {
  if (OwnWord::is_exposed(word) || OwnWord::is_offered(word)) {
    return confirm(Fault::kFlagsWrong, word);
  }
  const std::uint32_t owner = OwnWord::owner(word);
  if (owner == OwnWord::kFree || owner == OwnWord::kFreed) return Verdict::kFine;
  if (!OwnWord::is_session(word)) return confirm(Fault::kWordBeyondBlocks, word);
  return sink_->is_present(owner) ? Verdict::kFine : confirm(Fault::kOwnerAbsent, word);
}

void SpanCount::count_owned(std::uint32_t word, std::uint64_t block_bytes) {
  if (OwnWord::owner(word) != run_owner_) flush_run();
  run_owner_ = OwnWord::owner(word);
  ++run_.blocks;
  run_.live_bytes += block_bytes;
  if (OwnWord::is_offered(word)) ++run_.offered_blocks;
  if (OwnWord::is_exposed(word)) ++run_.exposed_blocks;
}

void SpanCount::count_kept(std::uint32_t word, std::uint64_t block_bytes) {
  ++sums_.space.live_blocks;
  sums_.space.live_bytes += block_bytes;
  ++sums_.kept_blocks;
  if (block_bytes == 0 || sink_->on_kept(block_offset_bytes(), word, block_bytes)) return;
  sink_->on_violation({Fault::kKeptWithoutName, first_, cursor_, word, 0});
}

// Reports the fault if word, carve word and descriptor are still what they were. A word that
// changed is judged again; what changed beneath it ends the count of this span.
SpanCount::Verdict SpanCount::confirm(Fault fault, std::uint32_t word) {
  if (!head_is_same() || view_.span_ledger(first_).carve.load_acquire() != carve_bits_) {
    return Verdict::kMoved;
  }
  if (view_.word(first_, cursor_).load_acquire() != word) return Verdict::kAgain;
  sink_->on_violation({fault, first_, cursor_, word, 0});
  return Verdict::kFine;
}

void SpanCount::finish() {
  const Carving& carving = sums_.carving;
  SpaceSums& space = sums_.space;
  const bool granted = sums_.span.head.state == SpanState::kGranted;
  std::uint64_t& unused_bytes = granted ? space.cached_bytes : space.free_bytes;
  space.spans = 1;
  space.granted_bytes = std::uint64_t{sums_.span.head.granules} * kGranuleBytes;
  unused_bytes = unused_blocks_ * carving.block_bytes;
  switch (carving.kind) {
    case Carving::Kind::kNone: unused_bytes = space.granted_bytes; break;
    case Carving::Kind::kBlocks: {
      const SizeClass& cut = carving.cut;
      const std::uint64_t of_cell = cut.cell_bytes - cut.blocks_per_cell * cut.block_bytes;
      space.tail_bytes = space.granted_bytes / cut.cell_bytes * of_cell;
      break;
    }
    case Carving::Kind::kLarge: break;
    case Carving::Kind::kInvalid:
      space.tail_bytes = space.granted_bytes;  // nobody can tell what it is
      break;
  }
  if (!check_equation(space)) {
    sink_->on_violation(
        {Fault::kEquation, first_, 0,
         space.live_bytes + space.cached_bytes + space.free_bytes + space.tail_bytes,
         space.granted_bytes});
  }
}

bool SpanCount::head_is_same() const noexcept {
  return view_.descriptor(first_).load_acquire() == head_bits_;
}

// Of the block whose word is at the cursor.
std::uint64_t SpanCount::block_offset_bytes() const noexcept {
  const std::uint64_t start = first_ * kGranuleBytes;
  if (sums_.carving.kind != Carving::Kind::kBlocks) return start;
  return start + block_offset(sums_.carving.cut, cursor_);
}

}  // namespace allot::region
